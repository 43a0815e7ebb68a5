"""`serve`: decisions over HTTP, with a log of every decision."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, flag, optional
from compagnon.cli.stores import DB, Db
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.serving.arms import Experiment
    from compagnon.serving.settings import ServiceSettings


@dataclass(frozen=True)
class Address:
    """Where the service listens."""

    host: Annotated[str, arg(metavar="H", help="0.0.0.0 for every machine; needs a key")] = (
        "127.0.0.1"
    )
    port: Annotated[int, arg(metavar="P", help="0 for any that is free")] = 8000
    workers: Annotated[int, arg(metavar="N", help="processes; above 1 they need PostgreSQL")] = 1
    keep_alive: Annotated[
        float, arg(metavar="S", help="seconds that a connection stays open without a request")
    ] = 75.0
    max_connections: Annotated[int, arg(metavar="N", help="clients at a time")] = 4_096
    no_fast_path: Annotated[bool, flag("requests go the plain path; the answers are the same")] = (
        False
    )


@dataclass(frozen=True)
class Deciding:
    """How it decides, and what it keeps."""

    db: Db = DB
    play: Annotated[
        Literal["greedy", "sampled"],
        arg(help="the policy's best action, as evaluate plays it, or a draw from the policy"),
    ] = "greedy"
    explore: Annotated[
        float,
        arg(metavar="RATE", help="share of decisions that explore what is nearly as good"),
    ] = 0.0
    explore_floor: Annotated[
        float, arg(metavar="F", help="nearly as good: at least F times the greatest probability")
    ] = 0.25
    explore_margin: Annotated[
        float, arg(metavar="M", help="of values: at most M of the way from the best to the mean")
    ] = 0.05
    explore_spread: Annotated[
        float, arg(metavar="S", help="of vectors: a deviation of S times half the range")
    ] = 0.1
    explore_cap: Annotated[
        int, arg(metavar="N", help="explored decisions of one episode, at most; 0: no limit")
    ] = 10
    cost_episodes: Annotated[
        int, arg(metavar="N", help="played to say what sampling and exploring cost; 0: none")
    ] = 100
    epsilon: Annotated[float | None, optional("E", "has become --explore")] = None
    mode: Annotated[
        Literal["durable", "fast"],
        arg(help="answer when the decision is on disk, or before"),
    ] = "durable"
    application: Annotated[str, arg(metavar="NAME", help="whose decisions these are")] = "default"
    precision: Annotated[Literal["fp32", "int8"], arg(help="which export is served")] = "fp32"
    rate: Annotated[float, arg(metavar="R", help="decisions a second a key; 0: no limit")] = (
        10_000.0
    )
    max_pending: Annotated[int, arg(metavar="N", help="requests at a time")] = 512
    experiment: Annotated[
        Path | None,
        optional(
            "PLAN", "an experiment's plan, TOML or JSON; POLICY is its first arm, the control"
        ),
    ] = None
    arm: Annotated[
        tuple[str, ...],
        optional("NAME=POLICY...", "who decides for the other arms: exported, a run, expert:NAME"),
    ] = ()


def serve(
    policy: Annotated[
        str,
        Positional,
        arg(metavar="POLICY", help="an exported policy, a run, or registry:NAME"),
    ],
    /,
    address: Address,
    deciding: Deciding,
) -> int:
    """Decide over HTTP, with a log of every decision.

    $ compagnon serve runs/workshop-tight
    $ compagnon serve registry:workshop --db postgresql://me@localhost/decisions --workers 2
    $ compagnon serve runs/workshop-tight --experiment pooling.toml --arm rule=expert:workshop-v2
    """
    if deciding.epsilon is not None:
        raise InputError(
            f"--epsilon has become --explore, which explores only what is nearly as good, and is 0 "
            f"unless you ask: give --explore {deciding.epsilon:g}. To play as before, drawing from "
            "the policy, add --play sampled"
        )
    from compagnon.serving import signals

    signals.hold()  # before anything that takes its time
    from compagnon.serving.settings import ServiceSettings
    from compagnon.store.address import database_address

    settings = ServiceSettings(
        policy=policy,
        host=address.host,
        port=address.port,
        workers=address.workers,
        keep_alive=address.keep_alive,
        max_connections=address.max_connections,
        fast_path=not address.no_fast_path,
        db=database_address(deciding.db),
        play=deciding.play,
        explore=deciding.explore,
        explore_floor=deciding.explore_floor,
        explore_margin=deciding.explore_margin,
        explore_spread=deciding.explore_spread,
        explore_cap=deciding.explore_cap,
        cost_episodes=deciding.cost_episodes,
        mode=deciding.mode,
        application=deciding.application,
        precision=deciding.precision,
        rate=deciding.rate,
        max_pending=deciding.max_pending,
    )
    return decide_until_ended(settings, _experiment(deciding, settings.workers))


def decide_until_ended(settings: "ServiceSettings", experiment: "Experiment | None") -> int:
    """Serve until a signal, and say what was lost, if anything; the exit code."""
    from compagnon.serving.costs import cost_words
    from compagnon.serving.lifespan import RunningService
    from compagnon.serving.lifespan import serve as run
    from compagnon.store import DecisionLog

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    out = output.console()

    logs: list[DecisionLog] = []
    cost = cost_words(settings, lambda words: out.print(words, soft_wrap=True))
    if cost is not None:
        out.print(cost, soft_wrap=True)

    def ready(where: str, parts: RunningService | None) -> None:
        if cost is None:
            out.print("plays greedily, as it was evaluated", soft_wrap=True)
        if parts is not None:
            logs.append(parts.repository.log)
            model = parts.service.model
            out.print(f"{model.manifest.name}, model {model.sha256[:12]}", soft_wrap=True)
        out.print(f"listening on {where}; {where}/openapi.json says how to ask", soft_wrap=True)

    whole = run(settings, ready, experiment)
    lost = sum(log.lost for log in logs)
    if lost:  # in fast mode, where the database stayed away until the end
        out.print(f"ended: {lost:,} answered decisions could not be written, and are lost")
        return 1
    if not whole:
        out.print("ended: answered decisions are lost; each process said how many")
        return 1
    # Of several processes one that died in fast mode could tell nobody what it had not written.
    known = logs or settings.mode == "durable"
    out.print("ended: every answered decision is in the log" if known else "ended")
    return 0


def _experiment(deciding: Deciding, workers: int) -> "Experiment | None":
    """What the command line says of an experiment.

    Raises:
        InputError: arms without a plan, a plan that is none, or more than one process.
    """
    if deciding.experiment is None:
        if deciding.arm:
            raise InputError("--arm: give the plan of an experiment as well, --experiment PLAN")
        return None
    if workers > 1:
        raise InputError("--experiment: with one process for now; leave --workers out")
    from compagnon.operations.experiments.plan_file import load_plan
    from compagnon.serving.arms import Experiment

    policies = {}
    for pair in deciding.arm:
        name, equals, policy = pair.partition("=")
        if not equals or not name or not policy:
            raise InputError(f"--arm: {pair!r} is not NAME=POLICY, such as rule=expert:NAME")
        policies[name] = policy
    return Experiment(load_plan(deciding.experiment), policies)


COMMANDS: dict[str, CommandFunction] = {"serve": serve}
