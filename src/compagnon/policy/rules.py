"""Somebody's own rule, from a file or a module: ``expert:rules.py:OneByOne``.

A rule is a class. It is made with the schema of the environment (what the columns of an observation
are called, how many actions there are), and has ``act(obs, action_mask)``: observations (N, F) and
masks (N, A) in, one action a row out. What else a `Policy` may have (``probabilities``,
``playing``) is used where it is there.
"""

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.envs.finding import import_named, in_this_folder
from compagnon.errors import InputError, describe
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema


def names_a_rule(name: str) -> bool:
    """Whether what stands behind ``expert:`` is a file or a module with a class."""
    place, colon, rest = name.partition(":")
    return place.endswith(".py") or (bool(colon) and bool(rest) and _is_module(place))


def load_rule(name: str, schema: Schema) -> Policy:
    """The rule ``FILE.py:CLASS`` or ``PACKAGE.MODULE:CLASS``, perhaps with ``:ARGUMENT`` behind.

    Raises:
        InputError: no such file, module or class, or one that is no rule; it names both.
    """
    place, _, rest = name.partition(":")
    class_name, _, argument = rest.partition(":")
    who = f"expert:{name}"
    if not class_name:
        raise InputError(f"{who}: name the class too, such as expert:{place}:OneByOne")
    module = _from_file(Path(place), who) if place.endswith(".py") else import_named(place, who)
    if not hasattr(module, class_name):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        near = difflib.get_close_matches(class_name, classes, n=1)
        hint = f"; did you mean {near[0]}?" if near else f" (it has {', '.join(classes) or 'none'})"
        raise InputError(f"{who}: {place} has no class {class_name!r}{hint}")
    return as_rule(_made(getattr(module, class_name), schema, argument, who), who, schema)


def as_rule(rule: Any, who: str, schema: Schema) -> Policy:
    """An object with ``act``, or a class of one, or a function ``(obs, action_mask)``, as a policy.

    Args:
        who: what people call it.

    Raises:
        InputError: it is none of these, or cannot be made.
    """
    if inspect.isclass(rule):
        rule = _made(rule, schema, "", who)
    elif not hasattr(rule, "act") and callable(rule):
        rule = _Function(rule)
    if not callable(getattr(rule, "act", None)):
        hint = ""
        if hasattr(rule, "predict") and hasattr(rule, "policy"):
            hint = "; a model of Stable-Baselines3 becomes a policy by from_sb3(model)"
        raise InputError(f"{who}: {type(rule).__name__} has no method act(obs, action_mask){hint}")
    kinds: dict[str, type[Rule]] = {"playing": _DayReadingRule, "probabilities": _StochasticRule}
    for method, kind in kinds.items():
        if callable(getattr(rule, method, None)):
            return kind(rule, who, schema)
    return Rule(rule, who, schema)


class _Function:
    """A function that chooses, as an object with ``act``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.act = function


class Rule:
    """A rule of somebody's own as a policy: what it answers is looked at before it is played.

    Args:
        rule: has ``act``, which may take (obs), (obs, action_mask) or (obs, action_mask, rng).
        name: what people call it.
        schema: of the environment.
    """

    def __init__(self, rule: Any, name: str, schema: Schema) -> None:
        self.rule, self.name, self.schema = rule, name, schema
        self.ignores_mask = bool(getattr(rule, "ignores_mask", False))
        self._takes = _positions(rule.act, 3)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """The rule's actions, (N,) or (N, D).

        Raises:
            InputError: it gives something else than one action a row; or it fails.
        """
        try:
            given = self.rule.act(*(obs, action_mask, rng)[: self._takes])
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{self.name}: its act() failed: {describe(error)}") from error
        return self._checked(given, len(obs))

    def _checked(self, given: Any, rows: int) -> NDArray[Any]:
        actions, action = np.asarray(given), self.schema.action
        if action.kind != "discrete":
            vectors = actions.astype(np.float32) if actions.dtype.kind in "fiu" else actions
            if vectors.shape != (rows, action.n) or not np.isfinite(vectors).all():
                raise InputError(
                    f"{self.name}: act() gave {_short(given)}; for {rows} observations it should "
                    f"give finite numbers of shape ({rows}, {action.n})"
                )
            return vectors
        if actions.shape != (rows,) or actions.dtype.kind not in "iu":
            raise InputError(
                f"{self.name}: act() gave {_short(given)}; for {rows} observations it should give "
                f"{rows} whole numbers, one action a row"
            )
        wrong = (actions < 0) | (actions >= action.n)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{self.name}: act() chose action {actions[row]} in row {row}; there are 0 to "
                f"{action.n - 1}"
            )
        return actions.astype(np.int64)


class _StochasticRule(Rule):
    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """The rule's own, (N, A)."""
        return np.asarray(self.rule.probabilities(obs, action_mask), np.float64)


class _DayReadingRule(Rule):
    def playing(self, env: BatchEnv) -> Policy:
        """The rule for these copies."""
        played: Policy = self.rule.playing(env)
        return played


def _is_module(name: str) -> bool:
    with in_this_folder():
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError, AttributeError):
            return "." in name  # a package that fails says so when it is imported


def _from_file(path: Path, who: str) -> Any:
    if not path.is_file():
        raise InputError(f"{who}: there is no file {path}")
    name = f"_rule_{path.stem}_{abs(hash(path.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up here
    with in_this_folder():
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise InputError(f"{who}: {path} cannot be imported: {describe(error)}") from error
    return module


def _made(factory: Any, schema: Schema, argument: str, who: str) -> Any:
    if not callable(factory):
        raise InputError(f"{who}: it is {_short(factory)}, and should be a class")
    takes = _positions(factory, 2)
    if argument and takes < 2:
        raise InputError(f"{who}: it takes no argument; leave out :{argument}")
    try:
        return factory(*(schema, argument or None)[:takes])
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{who}: it cannot be made: {describe(error)}") from error


def _positions(function: Callable[..., Any], most: int) -> int:
    """How many arguments, of `most`, a function takes by their place."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return most
    if any(one.kind == one.VAR_POSITIONAL for one in parameters):
        return most
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(most, sum(one.kind in by_place for one in parameters))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
