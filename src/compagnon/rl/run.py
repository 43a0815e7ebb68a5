"""A run on disk: the recipe, the metrics, the checkpoints, the best policy, the report."""

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from compagnon.errors import InputError
from compagnon.files import new_directory, write_file
from compagnon.policy import loading
from compagnon.rl.recipe import RECIPE_FILE, Recipe, load_recipe

BEST = loading.BEST  # where a path that is a run is looked into for its policy
METRICS_FILE = "metrics.jsonl"
OUTCOME_FILE = "outcome.json"
CHECKPOINTS = "checkpoints"
LAST = "last"
LOCK_FILE = ".lock"
CLONE = "clone"
REPORT_FILE = "report.html"


class Run:
    """The directory of one run.

    ``recipe.toml``, ``recipe.history.jsonl`` (what was changed of it on the way),
    ``metrics.jsonl`` (one line an iteration), ``outcome.json`` (how far it is, and how it ended),
    ``checkpoints/``, ``tensorboard/``,
    ``videos/``, ``best/`` and ``last/`` (policies), ``clone/`` (the policy after imitation, where
    there was any), ``report.html``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, recipe: Recipe) -> "Run":
        """Begin a run in a directory that does not exist yet, or is empty.

        Raises:
            InputError: something is there.
        """
        tree = recipe.model_dump(mode="json", exclude_none=True)
        try:
            with new_directory(path) as fresh:
                (fresh / RECIPE_FILE).write_text(tomli_w.dumps(tree), encoding="utf-8")
                (fresh / METRICS_FILE).touch()
        except InputError:
            raise InputError(
                f"{path} is there already: use --resume to go on with it, or another --out"
            ) from None
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "Run":
        """A run that was begun before.

        Raises:
            InputError: there is none.
        """
        if not (path / RECIPE_FILE).is_file():
            raise InputError(f"{path} is not a run: it has no {RECIPE_FILE}")
        return cls(path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other process from training in this folder.

        The lock goes with the process, however it ends.

        Raises:
            InputError: somebody does; names the folder and the process.
        """
        with (self.path / LOCK_FILE).open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                who = file.read().strip() or "another process"
                raise InputError(
                    f"{self.path} is being trained by {who}: wait for it, stop it, or give "
                    "another --out"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
            yield

    def check_kept(self) -> None:
        """Refuse to begin again over what was learnt, where no checkpoint is left of it.

        A run that was killed before its first checkpoint has none, and nothing to lose.

        Raises:
            InputError: policies were kept, and the checkpoints are gone.
        """
        if any(self.checkpoints.glob("*")) or not (self.path / LAST).is_dir():
            return
        raise InputError(
            f"{self.path} has no {CHECKPOINTS}/ to go on from, though it was trained: put it back, "
            f"or begin another run with {self.path / RECIPE_FILE} and another --out"
        )

    @property
    def recipe(self) -> Recipe:
        """What the run does."""
        return load_recipe(str(self.path / RECIPE_FILE))

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / CHECKPOINTS

    def write_outcome(self, tree: dict[str, Any]) -> None:
        """Say how far the run is, see `RunOutcome.as_json`."""
        write_file(self.path / OUTCOME_FILE, json.dumps(tree, indent=1) + "\n")

    def outcome(self) -> dict[str, Any]:
        """What `write_outcome` was last given; empty where nothing can be read."""
        try:
            found = json.loads((self.path / OUTCOME_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add one line to the metrics."""
        with (self.path / METRICS_FILE).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Every whole line of the metrics; one that a kill cut short is left out."""
        path = self.path / METRICS_FILE
        if not path.is_file():
            return []
        lines = []
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                break
            if not isinstance(line, dict) or "iteration" not in line:
                break
            lines.append(line)
        return lines

    def cut_metrics(self, iteration: int) -> None:
        """Forget what came after `iteration`: it will be done again."""
        kept = [line for line in self.metrics() if line["iteration"] <= iteration]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_file(self.path / METRICS_FILE, text)
