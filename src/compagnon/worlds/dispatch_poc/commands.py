"""`dispatch-poc table`: the roadmap's figures beside what each policy gets."""

from typing import TYPE_CHECKING, Annotated, Final

from tyro.conf import arg

from compagnon import output
from compagnon.arguments import Force, Json, check_seed, flag, optional
from compagnon.worlds.command import Command, CommandGroup

if TYPE_CHECKING:
    from compagnon.evaluation.statistics import Estimate
    from compagnon.worlds.dispatch_poc.table import PocTable


def table(
    hours: Annotated[int, arg(metavar="H", help="length of the day, from 08:00")] = 8,
    drivers: Annotated[int, arg(metavar="N", help="drivers")] = 10,
    slots: Annotated[int, arg(metavar="M", help="bookings on the board at once")] = 20,
    assignments_per_tick: Annotated[int, arg(metavar="K", help="decisions in a tick")] = 1,
    faults: Annotated[bool, flag("the original's behaviour")] = False,
    policy: Annotated[
        tuple[str, ...], optional("POLICY...", "what to play; without it, random and the rules")
    ] = (),
    episodes: Annotated[int, arg(metavar="N", help="days that every policy plays")] = 100,
    seed: Annotated[int, arg(metavar="S", help="the first of their seeds")] = 1_000_000,
    json: Json = None,
    force: Force = False,
) -> int:
    """Reproduce the roadmap's KPI table: its baseline and target, and what policies really get.

    $ compagnon dispatch-poc table --hours 2 --faults
    $ compagnon dispatch-poc table --policy expert:dispatch-poc-outlook runs/dispatch-poc-pairs
    """
    output.claim(force, json)
    from compagnon.policy.loading import recorded_env
    from compagnon.worlds.dispatch_poc.table import POLICIES, TRIPS_RULE, make_table

    check_seed(seed)
    policies = policy or POLICIES
    env_args: dict[str, object] = {
        "hours": hours,
        "drivers": drivers,
        "slots": slots,
        "assignments_per_tick": assignments_per_tick,
        "faults": faults,
    }
    if TRIPS_RULE in policies:
        env_args["observation"] = "trips"
    for name in policies:  # what a trained policy reads, and in which order
        recorded = recorded_env(name)
        for key in ("observation", "order"):
            if recorded is not None and key in recorded[1]:
                env_args[key] = recorded[1][key]
    with output.busy("playing") as say:
        found = make_table(policies, env_args, episodes, seed, say)
    _show(found)
    if json is not None:
        output.write_json(json, found.as_json())
    return 0


def _show(found: "PocTable") -> None:
    from compagnon.worlds.dispatch_poc.table import AGAINST, LATENCY, ROADMAP, SHARES

    screen = output.console()
    options = " ".join(f"{key}={value}" for key, value in found.env_args.items())
    last = found.seed + found.episodes - 1
    screen.print(f"{options}: {found.episodes} days, seeds {found.seed} to {last}")
    screen.print(
        "Baseline and target are the roadmap's; decisions are timed one at a time, median\n"
    )
    rows = [
        ["baseline", *(promise.baseline for promise in ROADMAP), LATENCY.baseline],
        ["target", *(promise.target for promise in ROADMAP), LATENCY.target],
    ]
    for line in found.lines:
        cells = [_figure(line.kpis[promise.kpi], promise.kpi in SHARES) for promise in ROADMAP]
        name = line.policy.removeprefix("expert:dispatch-poc-")
        rows.append([name, *cells, output.number(line.decision_ms)])
    heads = ["mean and 95 % interval", *(promise.words for promise in ROADMAP), LATENCY.words]
    # A table of so many columns is for a file as much as for a screen: one line a KPI.
    turned = [[heads[c], *(row[c] for row in rows)] for c in range(1, len(heads))]
    for start in range(2, len(rows), 3):
        shown = [0, 1, *range(start, min(start + 3, len(rows)))]
        columns = ["", *(rows[index][0] for index in shown)]
        screen.print(
            output.table(columns, [[t[0], *(t[1 + i] for i in shown)] for t in turned]), ""
        )
    screen.print(f"Reward per step less {AGAINST}, on the same days\n")
    screen.print(
        output.table(
            ("policy", "difference", "95 % interval"),
            [
                (line.policy, output.number(line.against.mean), output.interval(line.against.ci95))
                for line in found.lines
                if line.policy != AGAINST
            ],
        )
    )


def _figure(found: "Estimate", share: bool) -> str:
    if share:
        low, high = (100 * end for end in found.ci95)
        return f"{100 * found.mean:.1f} % ({low:.1f} to {high:.1f})"
    low, high = found.ci95
    return f"{found.mean:.2f} ({low:.2f} to {high:.2f})"


COMMANDS: Final = {
    "dispatch-poc": CommandGroup(
        "The dispatch roadmap's table, with honest baselines.",
        {"table": Command(table, "worlds", ("numba", "scipy"))},
    ),
}
