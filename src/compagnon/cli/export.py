"""`export`, `bench`: a policy as ONNX, and how fast each of its forms decides."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from compagnon import output
from compagnon.arguments import CommandFunction, Force, Json, check_seed, flag, optional
from compagnon.cli.options import OnePolicy, Where, without_window
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.onnx_export.bench import Bench
    from compagnon.policy.exported import ExportRecord


@dataclass(frozen=True)
class Check:
    """How much is checked before anything is written."""

    states: Annotated[
        int, arg(metavar="N", help="real states to compare with torch, and INT8 with FP32")
    ] = 4096
    episodes: Annotated[int, arg(metavar="N", help="that INT8 and FP32 both play")] = 100
    seed: Annotated[int, arg(metavar="S", help="the first of their seeds")] = 1_000_000
    json: Json = None
    force: Force = False


def export(
    policy: OnePolicy,
    /,
    where: Where,
    check: Check,
    out: Annotated[
        Path | None, optional("DIR", "a copy of the policy, with the files; else in its own folder")
    ] = None,
    int8: Annotated[bool, flag("an INT8 file as well, judged by what it decides")] = False,
    int8_method: Annotated[
        Literal["static", "dynamic"],
        arg(help="ranges from real states, or found anew in each decision"),
    ] = "static",
) -> int:
    """Write a policy as ONNX, after it was compared with torch on thousands of states.

    $ compagnon export runs/demo
    $ compagnon export runs/demo --int8 --out served
    $ compagnon evaluate runs/demo onnx:served onnx-int8:served
    """
    output.claim(check.force, check.json)
    _require_network("export", policy)
    without_window()
    from compagnon.onnx_export.export import ExportSettings, check_out, export_policy

    check_seed(check.seed)
    for name, value in (("states", check.states), ("episodes", check.episodes)):
        if value < 1:
            raise InputError(f"--{name} {value}: at least 1")
    if out is not None:
        if not check.force and out.resolve() != Path(policy).resolve():
            output.claim_folder(out)
        check_out(out)
    settings = ExportSettings(
        int8=int8,
        method=int8_method,
        real=check.states,
        episodes=check.episodes,
        seed=check.seed,
    )
    with output.busy("exporting") as say:
        env = where.resolve(policy)
        made = export_policy(Path(policy), out, settings, env, say)
    _show(made.directory, made.record)
    if check.json is not None:
        output.write_json(check.json, made.record.model_dump(mode="json"))
    return 0


def _require_network(verb: str, policy: str) -> None:
    """Refuse what is no policy on disk, before an error that speaks of paths."""
    from compagnon.policy.loading import ONNX_KINDS

    kind, _, rest = policy.partition(":")
    if policy == "random" or (rest and kind in ("constant", "expert")):
        raise InputError(f"{verb} takes a trained policy on disk; {policy} has no network")
    if rest and kind in ONNX_KINDS:
        raise InputError(f"{verb} takes the policy itself: {verb} {rest}")


def _show(directory: Path, record: "ExportRecord") -> None:
    from compagnon.policy.exported import ONNX_FILES
    from compagnon.policy.loading import ONNX_KINDS

    out = output.console()
    out.print(_parity_words(record.parity), soft_wrap=True)
    out.print()
    called = {precision: kind for kind, precision in ONNX_KINDS.items()}
    rows = [
        (ONNX_FILES[name], f"{file.bytes:,}", file.sha256[:12], f"{called[name]}:{directory}")
        for name, file in record.files.items()
    ]
    out.print(output.table(("file", "bytes", "SHA-256", "its name as a policy"), rows))
    if "int8" in record.files:
        out.print(f"\n{record.files['int8'].judged['verdict']}", soft_wrap=True)


def _parity_words(parity: dict[str, Any]) -> str:
    lines = []
    for kind in ("real", "adversarial"):
        found = parity[kind]
        words = f"{found['states']:,} {kind} states: the same action in {found['same_action']:,}"
        if found["near_ties"]:
            words += f" and a near tie in {found['near_ties']:,}"
        if found["overflowing"]:
            words += f"; {found['overflowing']:,} overflow in torch too, and are refused"
        words += f"; outputs within {found['outputs']:.1e} of torch's"
        lines.append(words)
    return "\n".join(lines)


def bench(
    policy: OnePolicy,
    /,
    where: Where,
    seconds: Annotated[float, arg(metavar="S", help="for each form at each batch size")] = 1.0,
    batches: Annotated[tuple[int, ...], arg(metavar="N...", help="how many decisions at once")] = (
        1,
        8,
        64,
        1024,
    ),
    no_compile: Annotated[bool, flag("leave torch.compile out, which takes a while")] = False,
    json: Json = None,
    force: Force = False,
) -> int:
    """Time a policy's decisions: torch, torch.compile, numpy, ONNX in FP32 and in INT8.

    $ compagnon bench runs/demo
    $ compagnon bench runs/demo --batches 1 256 --seconds 5 --json speed.json
    """
    output.claim(force, json)
    _require_network("bench", policy)
    without_window()
    from compagnon.onnx_export.bench import bench as run

    if not 0 < seconds < float("inf"):
        raise InputError(f"--seconds {seconds:g}: more than 0")
    if not batches or min(batches) < 1:
        raise InputError("--batches: give whole numbers from 1 on, such as 1 64")
    with output.busy("timing") as say:
        found = run(Path(policy), where.resolve(policy), batches, seconds, not no_compile, say)
    _show_bench(found)
    if json is not None:
        output.write_json(json, found.as_json())
    return 0


def _show_bench(found: "Bench") -> None:
    out = output.console()
    out.print(f"{found.policy}: one thread, from arrays to actions, real states\n", soft_wrap=True)
    columns = ("form", "batch", "p50 us", "p99 us", "decisions/s", "bytes on disk")
    rows = [
        (
            one.form,
            f"{one.batch:,}",
            f"{one.p50_us:,.1f}",
            f"{one.p99_us:,.1f}",
            f"{one.per_second:,.0f}",
            f"{found.sizes[one.form]:,}",
        )
        for one in found.timings
    ]
    out.print(output.table(columns, rows))
    hopes = [(hope.what, hope.hoped, hope.measured) for hope in found.hopes]
    out.print()
    out.print(output.table(("", "the roadmap hoped", "measured"), hopes, numbers=False))
    for note in found.notes:
        out.print(f"\n{note}", soft_wrap=True)


COMMANDS: dict[str, CommandFunction] = {"export": export, "bench": bench}
