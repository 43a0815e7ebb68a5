"""Trains contenders in turns, seed by seed, and judges all of them alike while the clock stands."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean
from typing import Any

from rich.console import Console

from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Policy
from compagnon.rl.algorithm import build_algorithm, total_iterations
from compagnon.rl.recipe import Recipe
from harness import table

FIRST_EPISODE = 900_000  # the same episodes for everybody, and none of those that are practised


@dataclass(frozen=True)
class Rules:
    """How everybody is judged.

    Attributes:
        every: environment steps from one look to the next; episodes: of a look, played greedily.
        threshold: the mean return to be reached; None where the whole budget is wanted anyway.
        stops: reaching the threshold ends the training.
    """

    env_id: str
    every: int
    episodes: int
    threshold: float | None = None
    stops: bool = False


@dataclass(frozen=True)
class Look:
    """What one look found, and when: what training had taken until then, judging left out."""

    env_steps: int
    updates: int
    seconds: float
    cpu_seconds: float
    mean_return: float


@dataclass
class Training:
    """One contender's training with one seed."""

    contender: str
    seed: int
    looks: list[Look] = field(default_factory=list)
    threshold: float | None = None

    @property
    def reached(self) -> Look | None:
        """The first look that found the threshold reached."""
        if self.threshold is None:
            return None
        return next((look for look in self.looks if look.mean_return >= self.threshold), None)

    @property
    def best(self) -> Look:
        return max(self.looks, key=lambda look: look.mean_return)

    @property
    def last(self) -> Look:
        return self.looks[-1]

    @property
    def seconds_to_threshold(self) -> float:
        """Seconds until it was reached; the whole budget's if it never was."""
        return (self.reached or self.last).seconds

    @property
    def learning_rate(self) -> float:
        """Environment steps a second once updates had begun."""
        first = next((look for look in self.looks if look.updates > 0), self.looks[0])
        seconds = self.last.seconds - first.seconds
        return (self.last.env_steps - first.env_steps) / seconds if seconds > 0 else 0.0

    @property
    def updates_a_step(self) -> float:
        """Updates for each environment step once they had begun."""
        first = next((look for look in self.looks if look.updates > 0), self.looks[0])
        steps = self.last.env_steps - first.env_steps
        return (self.last.updates - first.updates) / steps if steps else 0.0

    def as_dict(self) -> dict[str, Any]:
        reached = None if self.reached is None else asdict(self.reached)
        return {**asdict(self), "reached": reached, "best": asdict(self.best)}


class Judge:
    """A clock that stands still while the policy is judged.

    Args:
        training: what is found is written there.
    """

    def __init__(self, rules: Rules, training: Training) -> None:
        self.rules, self.training = rules, training
        self._next = rules.every
        self._wall = self._cpu = 0.0
        self.start()

    def start(self) -> None:
        """Let the clock run."""
        self._wall_began, self._cpu_began = time.perf_counter(), time.process_time()

    def look(self, env_steps: int, updates: int, policy: Callable[[], Policy], over: bool) -> bool:
        """Judge `policy` if it is time to, or training is over; whether training shall go on."""
        rules, looks = self.rules, self.training.looks
        if env_steps < self._next and not (over and (not looks or looks[-1].env_steps < env_steps)):
            return True
        self._wall += time.perf_counter() - self._wall_began
        self._cpu += time.process_time() - self._cpu_began
        self._next = env_steps + rules.every - env_steps % rules.every
        seeds = list(range(FIRST_EPISODE, FIRST_EPISODE + rules.episodes))
        found = float(play_episodes(rules.env_id, {}, policy(), seeds).returns.mean())
        looks.append(Look(env_steps, updates, self._wall, self._cpu, found))
        self.start()
        return not (rules.stops and self.training.reached is not None)


# A contender trains with a seed: builds what it needs, starts the clock, and asks as it goes.
Contender = Callable[[int, Judge], None]


def race(
    screen: Console,
    contenders: dict[str, Contender],
    rules: Rules,
    seeds: Sequence[int],
    keep: Callable[[list[Training]], None],
) -> list[Training]:
    """Every contender with every seed, in turns; a line each, and `keep` after each."""
    done: list[Training] = []
    for seed in seeds:
        for name, train in contenders.items():
            training = Training(name, seed, threshold=rules.threshold)
            train(seed, Judge(rules, training))
            done.append(training)
            best = training.best
            line = f"{name}, seed {seed}: best {best.mean_return:.1f} at {best.env_steps:,} steps"
            if rules.threshold is not None:
                reached = training.reached
                line += f"; {rules.threshold:g} " + (
                    "not reached"
                    if reached is None
                    else f"at {reached.env_steps:,} steps, {reached.seconds:.1f} s"
                )
            screen.print(
                f"{line}; in all {training.last.env_steps:,} steps, {training.last.seconds:.1f} s",
                soft_wrap=True,
            )
            keep(done)
    return done


def ours(recipe: Recipe) -> Contender:
    """A recipe of ours, with another seed each time."""

    def train(seed: int, judge: Judge) -> None:
        own = recipe.model_copy(update={"seed": seed})
        algorithm, network = build_algorithm(own)
        total, budget = total_iterations(own), own.budget

        def over() -> bool:
            if total is not None and algorithm.iteration >= total:
                return True
            return budget.episodes is not None and algorithm.episodes >= budget.episodes

        def policy() -> Policy:
            return network.as_policy(own.name)

        going = True
        judge.start()
        while going and not over():
            metrics = algorithm.iterate()
            updates = int(metrics.get("updates", 0))
            going = judge.look(algorithm.env_steps, updates, policy, over())

    return train


def warm_up(recipe: Recipe) -> None:
    """Compile what the recipe needs, on a few steps that nobody counts."""
    settings = recipe.algorithm
    few = {"learning_starts": 64, "batch_size": 64, "iteration_steps": 128, "capacity": 1000}
    known = {name: value for name, value in few.items() if name in type(settings).model_fields}
    algorithm, _ = build_algorithm(
        recipe.model_copy(update={"algorithm": settings.model_copy(update=known)})
    )
    algorithm.iterate()


# -- tables ---------------------------------------------------------------------------------------


def by_contender(trainings: list[Training]) -> dict[str, list[Training]]:
    grouped: dict[str, list[Training]] = {}
    for training in trainings:
        grouped.setdefault(training.contender, []).append(training)
    return grouped


def threshold_table(trainings: list[Training], title: str, rival: str) -> list[Any]:
    """Time to the threshold, mean over seeds, and a sentence on what was not reached."""
    groups, sentences = by_contender(trainings), []
    rows = []
    for name, group in groups.items():
        reached = [one.reached for one in group if one.reached is not None]
        seconds = [one.seconds_to_threshold for one in group]
        rows.append(
            [
                name,
                f"{mean(seconds):,.1f}",
                f"{min(seconds):,.1f} to {max(seconds):,.1f}",
                f"{mean((one.reached or one.last).cpu_seconds for one in group):,.1f}",
                f"{mean((one.reached or one.last).env_steps for one in group):,.0f}",
                f"{len(reached)} of {len(group)}",
                f"{mean(one.best.mean_return for one in group):.1f}",
                f"{min(one.best.mean_return for one in group):.1f}",
                f"{mean(one.last.env_steps / one.last.seconds for one in group):,.0f}",
            ]
        )
        if len(reached) < len(group):
            sentences.append(f"{name}: a seed that never reached it counts with its whole budget")
    columns = [
        "",
        "seconds",
        "least to most",
        "CPU s",
        "steps",
        "reached",
        "best",
        "worst",
        "steps/s",
    ]
    first = next(iter(groups))
    if rival in groups and rival != first:
        ratio = seconds_of(groups[rival]) / seconds_of(groups[first])
        ours_done, theirs_done = (
            all(one.reached for one in groups[name]) for name in (first, rival)
        )
        if ours_done:
            least = "" if theirs_done else "at least "
            sentences.append(f"{rival} takes {least}{ratio:.1f} times as long as {first} (means)")
    return [table(title, columns, rows), *sentences]


def seconds_of(group: list[Training]) -> float:
    """Mean seconds to the threshold."""
    return mean(one.seconds_to_threshold for one in group)


def speed_table(trainings: list[Training], title: str) -> Any:
    groups = by_contender(trainings)
    first = next(iter(groups.values()))
    rows = [
        [
            name,
            f"{mean(one.learning_rate for one in group):,.0f}",
            f"{mean(one.updates_a_step for one in group):.2f}",
            f"{speed_ratio(first, group):.2f}",
            f"{mean(one.last.seconds for one in group):,.1f}",
            f"{mean(one.best.mean_return for one in group):.1f}",
            f"{mean(one.last.mean_return for one in group):.1f}",
        ]
        for name, group in groups.items()
    ]
    columns = ["", "steps/s", "updates/step", "first is x", "seconds", "best return", "last"]
    return table(title, columns, rows)


def speed_ratio(group: list[Training], other: list[Training]) -> float:
    """How many times as many steps a second the first makes, seed by seed, in the mean."""
    pairs = zip(group, other, strict=False)
    return mean(mine.learning_rate / max(theirs.learning_rate, 1e-9) for mine, theirs in pairs)
