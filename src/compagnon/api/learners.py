"""A recipe built in Python, of whichever algorithm, and the run of it.

Nothing is learnt here. A learner writes down what a recipe in TOML would say, hands it to the same
trainer as the command line, and keeps what comes back; so a run from here and one from there are
the same run, bit for bit.
"""

import copy
import difflib
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import ValidationError

from compagnon.amounts import read_budget
from compagnon.api.envs import schema_of_given
from compagnon.api.experts import ExpertLike, GivenExpert, given_expert
from compagnon.envs.from_object import EnvLike, GivenEnv, given_env
from compagnon.errors import InputError
from compagnon.policy.artefact import load_artefact
from compagnon.policy.bound import BoundPolicy
from compagnon.rl.callbacks import Callback, IterationInfo, tell_all
from compagnon.rl.progress import RunOutcome
from compagnon.rl.recipe import (
    Recipe,
    change_recipe,
    explain,
    parse_recipe,
)
from compagnon.rl.registry import find_algorithm, settings_by_kind
from compagnon.rl.run import BEST, CLONE, LAST, Run
from compagnon.rl.trainer import Trainer, start

Budget = int | float | str | Mapping[str, Any]
"""Environment steps; a time such as ``"5m"``; or a recipe's table, ``{"iterations": 50}``."""

# Tables and keys of a recipe that are given beside the settings of the algorithm.
_BESIDE: Final = (
    "name", "description", "device", "threads", "network", "evaluation", "checkpoint", "video",
)  # fmt: skip
# A second Ctrl-C ends at once; any other signal is the program's own.
_SIGNALS: Final = (signal.SIGINT,)


class Learner:
    """An algorithm on an environment, and what it has learnt.

    `learn` may be called again: it goes on where it stopped, with so much more (without a budget,
    to the end of the one there is). What is scheduled over the budget, such as a falling step size,
    is then spread over the whole of it. Without a folder of its own a run stands in a temporary
    one, which is gone when the learner is.

    Attributes:
        recipe: what was run last; None before `learn`.
        outcome: how far it came, and how it ended.
        metrics: a dict an iteration, as the run's ``metrics.jsonl``.
        path: the run's folder; None where that is a temporary one.
    """

    def __init__(
        self, tree: dict[str, Any], env: GivenEnv, expert: GivenExpert | None, who: str
    ) -> None:
        self._tree, self._env, self._expert, self._who = tree, env, expert, who
        self.recipe: Recipe | None = None
        self.outcome: RunOutcome | None = None
        self.metrics: list[dict[str, Any]] = []
        self.path: Path | None = None
        self._folder: Path | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._kept: dict[str, BoundPolicy] = {}

    @classmethod
    def of_recipe(cls, recipe: Recipe, expert: GivenExpert | None = None) -> "Learner":
        """What runs a recipe that is complete; `learn` without a budget takes its own."""
        learner = Learner({}, GivenEnv(recipe.env.id, recipe.env.args), expert, recipe.name)
        learner._tree = recipe.model_dump(mode="json", exclude_none=True)
        return learner

    @staticmethod
    def of_kind(
        kind: str,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        expert: ExpertLike | None = None,
        **settings: Any,
    ) -> "Learner":
        """A learner of any algorithm by its kind, such as one that a program registered.

        Args:
            expert: whom it imitates, if it does. settings: those of a recipe.

        Raises:
            InputError: names the setting, what was given and what would be right.
        """
        return _OfKind(kind, env, seed, env_args, settings, expert)

    @classmethod
    def of_run(cls, path: Path, expert: GivenExpert | None = None) -> "Learner":
        """What goes on with a run on disk.

        Raises:
            InputError: there is none.
        """
        run = Run.open(path)
        learner = cls.of_recipe(run.recipe, expert)
        learner.recipe, learner.path, learner._folder = run.recipe, path, path
        learner._keep(run)
        return learner

    def __repr__(self) -> str:
        state = "nothing learnt yet"
        if self.outcome is not None:
            state = f"{self.outcome.state} after {self.outcome.env_steps:,} environment steps"
        return f"<{type(self).__name__} on {self._env.id}: {state}>"

    # -- learning -----------------------------------------------------------------------------

    def learn(
        self,
        budget: Budget | None = None,
        *,
        callbacks: Callback | Sequence[Callback] = (),
        out: str | Path | None = None,
        progress: bool = False,
    ) -> Self:
        """Learn, and keep the best policy and the last one.

        Ctrl-C ends it after the iteration under way, and so does a callback; what was learnt is
        kept, and `outcome` says how it ended.

        Args:
            budget: environment steps; a time such as ``"5m"``; or a recipe's table, such as
                ``{"iterations": 50}``. None where the algorithm ends by itself, or the recipe says.
            callbacks: each is called with an `IterationInfo` after each iteration; one that returns
                False or raises `StopLearning` ends the run.
            out: a folder for the run, with checkpoints to go on from; without it nothing is left
                on disk.
            progress: show how far it is on stderr.

        Raises:
            InputError: a setting or a budget that cannot be, or a folder with something in it.
            TrainingError: something stopped being a finite number.
        """
        told: list[Callback] = [callbacks] if callable(callbacks) else list(callbacks)
        trainer = self._trainer(budget, out)
        with ExitStack() as stack:
            if progress:
                from compagnon.api.progress import shown

                told.append(stack.enter_context(shown(trainer)))
            self.outcome = trainer.train(lambda info: tell_all(told, info), signals=_SIGNALS)
        self._keep(trainer.run)
        return self

    def stream(
        self, budget: Budget | None = None, *, out: str | Path | None = None
    ) -> Iterator[IterationInfo]:
        """The same as `learn`, iteration by iteration; to leave the loop ends it.

        Raises:
            InputError, TrainingError: see `learn`.
        """
        trainer = self._trainer(budget, out)
        try:
            yield from trainer.stream(signals=_SIGNALS)
        finally:
            self.outcome = trainer.outcome()
            self._keep(trainer.run)

    def recipe_for(self, budget: Budget | None = None) -> Recipe:
        """What `learn(budget)` would run, complete, where nothing has been learnt yet.

        Raises:
            InputError: a setting or a budget that cannot be.
        """
        tree = copy.deepcopy(self._tree)
        if budget is not None:
            tree["budget"] = _budget(budget, self._who)
            own = find_algorithm(tree["algorithm"]["kind"]).settings.ends_after
            if own is not None and "iterations" in tree["budget"]:
                tree["algorithm"][own] = tree["budget"].pop("iterations")
        return parse_recipe(tree, self._who)

    # -- what was learnt ----------------------------------------------------------------------

    @property
    def policy(self) -> BoundPolicy:
        """The best policy by the run's own evaluations; the last one where none was judged.

        Raises:
            InputError: nothing has been learnt yet.
        """
        found = self.best or self.last
        if found is None:
            raise InputError(f"{self._who}: nothing has been learnt yet; call learn(...) first")
        return found

    @property
    def best(self) -> BoundPolicy | None:
        """The best policy by the run's own evaluations; None where none was judged."""
        return self._kept.get(BEST)

    @property
    def last(self) -> BoundPolicy | None:
        """The policy as it was when learning ended."""
        return self._kept.get(LAST)

    @property
    def clone(self) -> BoundPolicy | None:
        """The policy when imitation ended, where practice followed it."""
        return self._kept.get(CLONE)

    # -- the run ------------------------------------------------------------------------------

    def _trainer(self, budget: Budget | None, out: str | Path | None) -> Trainer:
        expert = None if self._expert is None else self._expert.policy
        if self._folder is not None:
            if out is not None and Path(out) != self.path:
                where = "a temporary folder" if self.path is None else str(self.path)
                raise InputError(
                    f"out={out}: this learner goes on with its run in {where}; leave out away, or "
                    "make another learner"
                )
            longer = self.recipe if budget is None else self._longer(budget)
            trainer = Trainer.resume(self._folder, longer, expert)
        else:
            self.recipe = self.recipe_for(budget)
            if out is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="compagnon-")
                folder = Path(self._temporary.name) / self.recipe.name
            else:
                folder = Path(out)
                _check_free(folder)
            trainer = start(self.recipe, folder, expert)
            self._folder, self.path = folder, None if out is None else folder
        self.recipe = trainer.recipe
        return trainer

    def _longer(self, budget: Budget) -> Recipe:
        """The run's recipe with so much more."""
        assert self._folder is not None
        assert self.recipe is not None
        done = Run.open(self._folder).outcome()
        done["minutes"] = done.get("seconds", 0.0) / 60
        more = {key: done.get(key, 0) + value for key, value in _budget(budget, self._who).items()}
        changes: dict[str, Any] = {"budget": more}
        key = self.recipe.algorithm.ends_after
        if key is not None:  # it ends by itself, after so many iterations
            own = self.recipe_for().algorithm.own_iterations or 0
            changes[f"algorithm.{key}"] = more.pop("iterations", done.get("iterations", 0) + own)
        return change_recipe(self.recipe, changes, self._who)

    def _keep(self, run: Run) -> None:
        """Read back what the run kept: it may stand in a folder that will be gone."""
        schema = schema_of_given(self._env)
        self.metrics = run.metrics()
        for name in (BEST, LAST, CLONE):
            if (run.path / name).is_dir():
                # By the recipe's name: the path may be one that nobody chose.
                own = replace(load_artefact(run.path / name), label=None)
                self._kept[name] = BoundPolicy(own.bind(schema), schema)


class AlgorithmLearner(Learner):
    """A learner that is an algorithm, made from its settings."""

    kind: ClassVar[str]

    def __init__(
        self,
        env: EnvLike,
        seed: int,
        env_args: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
        expert: ExpertLike | None = None,
    ) -> None:
        who, model = called(self.kind), find_algorithm(self.kind).settings
        given = given_env(env, env_args)
        beside = {key: _plain(settings[key]) for key in _BESIDE if key in settings}
        own = {k: _plain(v) for k, v in settings.items() if k not in (*_BESIDE, "backend")}
        _check_names(self.kind, own, who)
        whom = None if expert is None else given_expert(expert, given)
        if whom is not None:
            if model.expert_key is None:
                raise InputError(f"{who}: it imitates nobody; leave expert away")
            _put(own, model.expert_key, whom.name)
        if given.num_envs is not None and model.num_envs_key is not None:
            _put(own, model.num_envs_key, given.num_envs, always=False)
        table: dict[str, Any] = {"id": given.id, "args": given.args}
        if "backend" in settings:
            table["backend"] = settings["backend"]
        tree = {
            "name": _run_name(self.kind, given.id),
            "seed": seed,
            "env": table,
            "algorithm": {"kind": self.kind, **own},
            **beside,
        }
        super().__init__(tree, given, whom, who)
        # What is wrong with a setting is said where it was given, and not when learning begins.
        try:
            model.model_validate(tree["algorithm"])
        except ValidationError as error:
            raise InputError(f"{who}: {explain(error)}") from None
        self.recipe_for({"iterations": 1})


def called(kind: str) -> str:
    """What the Python side calls an algorithm: its class, where it has one."""
    for learner in AlgorithmLearner.__subclasses__():
        if getattr(learner, "kind", None) == kind:
            return f"cp.{learner.__name__}"
    return kind


def _put(table: dict[str, Any], key: str, value: Any, always: bool = True) -> None:
    """Set a dotted key of a table, if it is to be set whatever stands there."""
    *tables, name = key.split(".")
    for part in tables:
        table = table.setdefault(part, {})
    if always or name not in table:
        table[name] = value


def _check_names(kind: str, own: Mapping[str, Any], who: str) -> None:
    """Refuse a keyword that is no setting, with what may have been meant."""
    known = [*find_algorithm(kind).settings.model_fields, *_BESIDE, "backend"]
    for hidden in ("kind", "expert"):
        if hidden in known:
            known.remove(hidden)
    for name in own:
        if name in known:
            continue
        owners = [
            called(other)
            for other, settings in settings_by_kind().items()
            if name in settings.model_fields and name not in ("kind", "expert")
        ]
        near = difflib.get_close_matches(name, known, n=1)
        words = f": it is one of {' and '.join(owners)}" if owners else ""
        if near:
            words += f"; did you mean {near[0]}?"
        elif not owners:
            words = f"; there are {', '.join(known)}"
        raise InputError(f"{who}: there is no setting {name!r}{words}")


def _budget(given: Budget, who: str) -> dict[str, Any]:
    """A recipe's table `budget`."""
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str):
        found = read_budget(given, f"{who}: budget")
        return {"env_steps": found.steps} if found.steps else {"minutes": found.seconds / 60}
    if isinstance(given, bool) or not given >= 1 or given != int(given):
        raise InputError(
            f'{who}: budget={given!r}: give environment steps, a time such as "5m", or a table '
            'such as {"iterations": 50}'
        )
    return {"env_steps": int(given)}


def _check_free(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise InputError(
            f"out={folder} is there already: cp.resume({str(folder)!r}) goes on with a run; or "
            "give another folder"
        )


class _OfKind(AlgorithmLearner):
    """A learner of an algorithm without a class of its own here."""

    kind: str  # type: ignore[misc]  # of each object its own

    def __init__(self, kind: str, *given: Any) -> None:
        self.kind = kind
        super().__init__(*given)


def _run_name(kind: str, env_id: str) -> str:
    """``ppo-shop-inventory-v0``, as a recipe may be called."""
    said = f"{kind}-{env_id}".lower()
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in said)
    return "-".join(part for part in plain.split("-") if part)


def _plain(value: Any) -> Any:
    """A setting as TOML has it: numbers of numpy's become Python's, sequences become lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") and not callable(value) else value
