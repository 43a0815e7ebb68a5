"""`ope`: what another policy would have earned where this one decided, from a frozen slice."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from compagnon import output
from compagnon.arguments import CommandFunction, Force, Json, optional
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.evaluation.offline.estimate import Estimate
    from compagnon.policy import Schema
    from compagnon.policy.action_selection import Play, PlayName
    from compagnon.policy.manifest import Manifest


def ope(
    policy: Annotated[
        str, arg(metavar="POLICY", help="a name or a path, of the schema of the slice")
    ],
    log: Annotated[Path, arg(metavar="FOLDER", help="a slice, see `compagnon slices freeze`")],
    against: Annotated[
        str | None,
        optional("POLICY", "another one: how much more the first is worth, paired by unit"),
    ] = None,
    outcomes: Annotated[
        tuple[str, ...],
        optional("NAME=WEIGHT...", "another objective than the one that the slice was frozen for"),
    ] = (),
    zero: Annotated[
        tuple[str, ...], optional("NAME...", "outcomes that are 0 where none came")
    ] = (),
    play: Annotated[
        Literal["greedy", "sampled"],
        arg(help="as `compagnon serve` would play; a rule plays as it does"),
    ] = "greedy",
    explore: Annotated[float, arg(metavar="RATE", help="and with how much exploration")] = 0.0,
    gamma: Annotated[float, arg(metavar="G", help="discount of a step")] = 1.0,
    seed: Annotated[int, arg(metavar="N", help="of folds and resamples")] = 0,
    json: Json = None,
    force: Force = False,
) -> int:
    """Estimate a policy from logged decisions, by each estimator that applies, with intervals.

    Ends with 1 where no estimate may be read; the table says why.

    $ compagnon ope --policy runs/new --log slices/monday
    $ compagnon ope --policy runs/new --against runs/workshop-tight --log slices/monday
    """
    from compagnon.operations import slices
    from compagnon.operations.off_policy import evaluate_off_policy
    from compagnon.policy.loading import load_policy, recorded_manifest

    output.claim(force, json)
    if not 0.0 < gamma <= 1.0:
        raise InputError(f"--gamma {gamma:g}: give a number above 0, up to 1")
    if not 0.0 <= explore <= 1.0:
        raise InputError(f"--explore {explore:g}: give a number from 0 to 1")
    content = slices.load(log)
    objective = slices.Objective.parse(outcomes, zero) if outcomes else _objective(content, log)
    names = [policy] if against is None else [policy, against]
    manifests = [recorded_manifest(name) for name in names]
    schema = _schema(names, manifests, content.manifest["schema_sha256"])
    with output.busy("estimating"):
        both = [
            (load_policy(name, schema), _play(manifest, play, explore))
            for name, manifest in zip(names, manifests, strict=True)
        ]
        loaded, other = both[0][0], both[1] if len(both) > 1 else None
        found = evaluate_off_policy(content, objective, *both[0], other, gamma=gamma, seed=seed)
    console = output.console()
    low, high = found.logged[1:]
    console.print(
        f"{found.decisions:,} decisions in {found.episodes:,} episodes of {found.units:,} units; "
        f"{found.overridden:,} left out after people took another action, {found.missing:,} for a "
        f"missing outcome. {len(found.quality.tests)} tests of the log passed",
        soft_wrap=True,
    )
    console.print(
        f"as it was logged, an episode earned {output.number(found.logged[0])} "
        f"({output.number(low)} to {output.number(high)})",
        soft_wrap=True,
    )
    console.print(_table(loaded.name, found.estimates))
    if found.differences:
        assert other is not None
        console.print(_table(f"more than {other[0].name}", found.differences))
    if json is not None:
        output.write_json(json, _as_json(found, objective.as_json()))
    shown = found.differences or found.estimates
    return 0 if any(one.evaluable for one in shown) else 1


def _objective(content: Any, log: Path) -> Any:
    from compagnon.operations.slices import Objective

    frozen = content.manifest.get("objective")
    if frozen is None:
        raise InputError(f"{log} was frozen without an objective; give --outcomes NAME=WEIGHT")
    return Objective.of_json(frozen)


def _schema(names: list[str], manifests: "list[Manifest | None]", wanted: str) -> "Schema":
    """The schema of the slice, which only a policy knows whole.

    Args:
        manifests: of the policies of these names; None of rules. wanted: its hash.

    Raises:
        InputError: no policy of it is among them, or one of another.
    """
    found = None
    for name, manifest in zip(names, manifests, strict=True):
        if manifest is None:
            continue
        if manifest.schema_sha256 != wanted:
            raise InputError(
                f"the slice is of decisions of schema {wanted[:12]}, and {name} of "
                f"{manifest.schema_sha256[:12]}: it reads or chooses something else"
            )
        found = manifest.schema_
    if found is None:
        raise InputError(
            "a rule does not say what the logged decisions read: give the policy that decided, or "
            "another one of its schema, as --against"
        )
    return found


def _play(manifest: "Manifest | None", play: "PlayName", explore: float) -> "Play":
    """As `serve` would play a policy; a rule plays as it does."""
    from compagnon.policy.action_selection import Nearness, Play

    if manifest is None:
        return Play()
    return Play(play, explore, Nearness().of(manifest.head) if explore else None)


def _table(title: str, estimates: "tuple[Estimate, ...]") -> Any:
    rows = []
    for one in estimates:
        figures = ("-", "-") if not one.evaluable else (
            output.number(one.value),
            f"{output.number(one.low)} to {output.number(one.high)}",
        )  # fmt: skip
        rows.append((one.name, *figures, f"{one.ess:,.0f}", f"{one.support:.1%}", one.why))
    columns = (title, "value", "95 % interval", "ESS", "support", "")
    return output.table(columns, rows, numbers=False)


def _as_json(found: Any, objective: Any) -> Any:
    mean, low, high = found.logged
    return {
        "objective": objective,
        "decisions": found.decisions,
        "episodes": found.episodes,
        "units": found.units,
        "overridden": found.overridden,
        "missing": found.missing,
        "logged": {"value": mean, "low": low, "high": high},
        "quality": [test._asdict() for test in found.quality.tests],
        "estimates": [one._asdict() for one in found.estimates],
        "differences": [one._asdict() for one in found.differences],
    }


COMMANDS: dict[str, CommandFunction] = {"ope": ope}
