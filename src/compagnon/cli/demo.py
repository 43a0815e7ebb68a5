"""`demo`: one recipe, from its expert's rule to a decision that was served, logged and replayed.

It does nothing that a person could not type: each step is a verb, and its line is printed.
"""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from tyro.conf import Positional

from compagnon import output
from compagnon.arguments import CommandFunction, flag, optional
from compagnon.cli.export import Check, export
from compagnon.cli.learn import learn, report
from compagnon.cli.log import replay
from compagnon.cli.options import Where
from compagnon.errors import InputError

_OUT: Final = Path("runs/demo")
_PROGRAM: Final = "import sys; from compagnon.cli import main; sys.exit(main())"
_READY: Final = re.compile(r"listening on (http://\S+);")
_SECONDS: Final = 120.0  # until the service listens, and until it answers
_OTHERS: Final = 3  # alternatives and reasons that are printed


def demo(
    recipe: Annotated[
        str | None, Positional, optional("RECIPE", "without it the one that is made for this")
    ] = None,
    /,
    out: Annotated[Path, optional("DIR", "the run's folder; runs/demo without it")] = _OUT,
    seed: Annotated[int | None, optional("S", "another seed than the recipe's")] = None,
    quick: Annotated[
        bool, flag("one iteration and four episodes: all of it runs, the figures say nothing")
    ] = False,
) -> int:
    """Learn, compare with the rule, export, serve a decision with its reasons, and replay it.

    $ compagnon demo
    $ compagnon demo --quick --out runs/tried
    $ compagnon demo workshop-tight --out runs/tight
    """
    from compagnon.worlds.registry import usual_world

    chosen = recipe or usual_world().demo_recipe
    _say(f"learn {chosen} --out {out} --resume")
    budget = "1 steps" if quick else None
    code = learn(chosen, out=out, seed=seed, budget=budget, resume=True)
    if code:
        return code
    _say(f"export {out}")
    export(str(out), Where(), Check(states=256 if quick else 4096))
    _say(f"report {out}")
    report(out, episodes=4 if quick else 100)
    with tempfile.TemporaryDirectory() as folder:
        db = f"sqlite:///{folder}/decisions.db"
        _say(f"serve {out} --port 0 --db {db}")
        with service(out, db) as address:
            output.console().print(f"listening on {address}\n", soft_wrap=True)
            _ask(address)
        _say(f"log replay --verify --db {db}")
        return replay((out,), db=db, verify=True)


def _say(command: str) -> None:
    output.console().print(f"\n$ compagnon {command}", soft_wrap=True, style="bold")


@contextlib.contextmanager
def service(policy: Path, db: str) -> Iterator[str]:
    """The address of a service in a process of its own, which ends with the block.

    Raises:
        InputError: it did not begin; says what it said.
    """
    words = [sys.executable, "-c", _PROGRAM, "serve", str(policy), "--port", "0", "--db", db]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        late = threading.Timer(_SECONDS, process.kill)
        late.start()
        try:
            yield _address(process)
        finally:
            late.cancel()
            process.terminate()


def _address(process: "subprocess.Popen[str]") -> str:
    said: list[str] = []
    for line in process.stdout or ():
        said.append(line)
        found = _READY.search(line)
        if found:
            return found[1]
    raise InputError(f"the service ended before it listened: {' '.join(''.join(said).split())}")


def _ask(address: str) -> None:
    """Ask for one decision, as the service's own description says how, and print the answer."""
    described = _fetch(f"{address}/openapi.json")
    body = described["paths"]["/v1/decide"]["post"]["requestBody"]["content"]["application/json"]
    question = dict(body["examples"]["one"]["value"])
    if "state" in question:
        question["reasons"] = True
    answer = _fetch(f"{address}/v1/decide", question)
    out = output.console()
    out.print(f"asked     {json.dumps(question)}", soft_wrap=True)
    for line in answer_lines(answer):
        out.print(line, soft_wrap=True)


def _fetch(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=_SECONDS) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def answer_lines(answer: dict[str, Any]) -> list[str]:
    """What was decided, what else was possible, and what was not, and why."""
    chance = "probability" if "probability" in answer else "density"
    lines = [f"decided   {answer['meaning']}, {chance} {answer[chance]}"]
    reasons = answer.get("reasons") or ()
    cost = {one["action"]: one["cost"] for one in reasons if one["cost"] is not None}
    for one in answer.get("alternatives", ())[:_OTHERS]:
        words = f"beside    {one['meaning']}, the policy's preference {one['preference']:.3g}"
        more = cost.get(one["action"], 0.0) - cost.get(answer["action"], 0.0)
        lines.append(words + (f", {more:+.3g} in cost" if cost else ""))
    impossible = [one for one in reasons if not one["possible"]]
    if impossible:
        lines.append(f"not now   {len(impossible)} of {len(reasons)} actions, such as")
        lines += [f"          {one['meaning']}: {one['why']}" for one in _of_each_kind(impossible)]
    return lines


def _of_each_kind(impossible: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first action of each kind of reason: what differs in numbers alone is of one kind."""
    kinds: dict[str, dict[str, Any]] = {}
    for one in impossible:
        if one["why"] is not None:
            kinds.setdefault(re.sub(r"\d+", "", one["why"]), one)
    return list(kinds.values())[:_OTHERS]


COMMANDS: dict[str, CommandFunction] = {"demo": demo}
