"""What a search is: the recipe, where to look, how long, and how the outcome is judged."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.rl.algorithm import total_iterations
from compagnon.rl.recipe import Recipe, change_recipe
from compagnon.rl.run_report import UNSEEN_SEED
from compagnon.tuning.space import Space
from compagnon.tuning.storage import HEARTBEAT

SEARCH_SEED = 2_000_000  # first of the episodes by which trials are chosen
FINAL_SEED = UNSEEN_SEED  # first of those by which the chosen ones are compared: others
_FIRST_FRESH = 1_000  # added to the recipe's seed: training seeds that no trial had

Pruner = Literal["median", "halving", "none"]


@dataclass(frozen=True)
class StudyPlan:
    """All that a worker needs to know, on whichever machine it is.

    Attributes:
        storage: a journal's path, or an address that begins with ``postgresql://``.
        name: of the study.
        out: where this machine keeps its runs, the winner and the report.
        trials: trainings of the search; a failed one counts.
        minutes: after which no further trial of the search is begun; None for no bound.
        jobs: processes that share this machine.
        seed: of the sampler.
        candidates: the best so many trials are trained again, each with `seeds` fresh seeds.
        episodes: episodes by which a policy is judged.
        heartbeat: seconds between two signs of life, in a database.
    """

    recipe: Recipe
    space: Space
    storage: str | Path
    name: str
    out: Path
    trials: int = 50
    minutes: float | None = None
    jobs: int = 1
    seed: int = 0
    pruner: Pruner = "median"
    candidates: int = 3
    seeds: int = 5
    episodes: int = 100
    heartbeat: int = HEARTBEAT
    command: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse numbers that make no search, and episodes that would flatter a policy.

        Raises:
            InputError: says which, and what would be right.
        """
        for name in ("trials", "jobs", "candidates", "seeds", "episodes"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}: at least 1")
        if self.seeds < 2:
            raise InputError(f"--seeds {self.seeds}: an interval needs at least 2")
        chosen = self.recipe.evaluation
        for first in (SEARCH_SEED, FINAL_SEED):
            if chosen.seed < first + self.episodes and first < chosen.seed + chosen.episodes:
                raise InputError(
                    f"{self.recipe.name}: evaluation.seed = {chosen.seed} takes the episodes from "
                    f"{first} on, which judge a search; let evaluation end below {FINAL_SEED}"
                )
        if self.episodes > SEARCH_SEED - FINAL_SEED:
            raise InputError(f"--episodes {self.episodes}: at most {SEARCH_SEED - FINAL_SEED}")

    def settings(self) -> dict[str, Any]:
        """What makes two searches the same study; plain values."""
        return {
            "recipe": self.recipe.model_dump(mode="json", exclude_none=True),
            "space": self.space.as_json(),
            "seed": self.seed,
            "pruner": self.pruner,
            "episodes": self.episodes,
        }

    @property
    def recipe_sha256(self) -> str:
        """The recipe's own name, whatever it is called."""
        text = json.dumps(self.settings()["recipe"], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def threads(self) -> int:
        """Threads of one job: a fair share of the cores, and no more than the recipe wants."""
        return min(self.recipe.threads, max(1, cores() // self.jobs))

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """The training seeds of the comparison."""
        first = self.recipe.seed + _FIRST_FRESH
        return tuple((first + i) % 2**32 for i in range(self.seeds))

    @property
    def evaluations(self) -> int | None:
        """Evaluations of one training, where the budget says so."""
        total = total_iterations(self.recipe)
        return None if total is None else -(-total // self.recipe.evaluation.every)

    @property
    def distinct_episodes(self) -> int | None:
        """How many different episodes there are at all, where they are few: an order book's."""
        return BatchEnv(self.recipe.env.id, self.recipe.env.args, 1).distinct_episodes

    def recipe_of(self, changes: dict[str, Any], seed: int | None = None) -> Recipe:
        """The recipe that a trial runs: changed, on its share of the cores, without videos."""
        own = {"threads": self.threads, "video": {}, "variants": {}}
        if seed is not None:
            own["seed"] = seed
        return change_recipe(self.recipe, {**own, **changes}, self.recipe.name)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
