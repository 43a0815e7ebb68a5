"""Any policy with the observations it is given: what a person holds and asks, in Python.

Inside the product policies choose for batches, and whoever calls them has looked at the arrays. A
person has one observation, or many, and may have the wrong ones.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compagnon.errors import InputError
from compagnon.policy.artefact import MANIFEST_FILE, load_artefact, save_policy
from compagnon.policy.loading import ONNX_KINDS, artefact_directory, load_policy
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.onnx_policy import OnnxPolicy, load_onnx
from compagnon.policy.protocol import Policy, StochasticPolicy
from compagnon.policy.provenance import Provenance
from compagnon.policy.rules import Rule, as_rule
from compagnon.policy.schema import Schema

PolicyLike = str | os.PathLike[str] | Policy | type[Any] | Callable[..., Any]
"""A name, a path, a policy, a class of one, or a function ``(obs, action_mask) -> actions``."""


@dataclass(frozen=True)
class BoundPolicy:
    """A policy, and the schema of the observations that it is given.

    Attributes:
        policy: chooses for batches.
        schema: what the columns of an observation are, and what may be chosen.
    """

    policy: Policy
    schema: Schema

    def __repr__(self) -> str:
        fields, action = len(self.fields), self.schema.action.words
        return f"BoundPolicy({self.name}: {fields} fields of {self.schema.env_id} -> {action})"

    @property
    def name(self) -> str:
        """What people call it."""
        return self.policy.name

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the F columns of an observation, in order."""
        return self.schema.observation.names

    @property
    def provenance(self) -> Provenance | None:
        """Where a trained policy comes from: recipe, data, parent; None of a rule."""
        own = self.policy
        return own.manifest.provenance if isinstance(own, NetworkPolicy | OnnxPolicy) else None

    def act(
        self,
        obs: ArrayLike,
        action_mask: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> Any:
        """Choose, for one observation or for many.

        Args:
            obs: (F,) or (N, F), in the order of `fields`.
            action_mask: (A,) or (N, A), what is possible; None where everything is.
            rng: draws from the policy's distribution; None for the greedy choice.

        Returns:
            One action: an int, or (D,) float32 where actions are vectors. Of many: (N,) int64, or
            (N, D) float32.

        Raises:
            InputError: arrays of another shape, an observation that is not finite, or no mask
                where the environment says what is possible.
        """
        many, mask, single = self._read(obs, action_mask)
        chosen = self.policy.act(many, mask, rng)
        if not single:
            return chosen
        return chosen[0] if chosen.ndim > 1 else int(chosen[0])

    def probabilities(
        self, obs: ArrayLike, action_mask: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """How likely each of A actions is, (A,) or (N, A); 0 wherever the mask is False.

        Raises:
            InputError: see `act`; or the policy does not say.
        """
        if not isinstance(self.policy, StochasticPolicy):
            raise InputError(f"{self.name} does not say how likely its actions are")
        many, mask, single = self._read(obs, action_mask)
        found = self.policy.probabilities(many, mask)
        return found[0] if single else found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy to a folder of its own, whole or not at all; `load_policy` reads it.

        A policy that is there already is replaced.

        Raises:
            InputError: a rule, which has no weights; or the folder holds something else.
        """
        if not isinstance(self.policy, NetworkPolicy):
            raise InputError(f"{self.name} is not a trained policy: it has no weights to save")
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; give the name of a folder")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST_FILE).is_file():
            raise InputError(f"{folder} holds something else than a policy; give another folder")
        save_policy(self.policy, folder)
        return folder

    def bind(self, given: Schema) -> "BoundPolicy":
        """The same policy for observations of another schema; see `NetworkPolicy.bind`."""
        return bind_policy(self.policy, given)

    def _read(
        self, obs: ArrayLike, action_mask: ArrayLike | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None, bool]:
        """Rows (N, F) and (N, A), and whether there was one without a row of its own."""
        try:
            rows = np.asarray(obs, np.float32)
        except (TypeError, ValueError):
            raise InputError(
                f"{self.name}: observations should be numbers, {len(self.fields)} a row; those of "
                "an environment with parts come from make(env)"
            ) from None
        single = rows.ndim == 1
        rows = rows[None] if single else rows
        if rows.ndim != 2 or rows.shape[1] != len(self.fields):
            shown = ", ".join(self.fields[:4]) + (", ..." if len(self.fields) > 4 else "")
            raise InputError(
                f"{self.name}: the observations have shape {np.shape(obs)}; they should have "
                f"({len(self.fields)},) or (N, {len(self.fields)}): {shown}"
            )
        if self.schema.action.kind != "discrete":
            return rows, None, single
        if action_mask is None:
            if self.schema.needs_mask:
                raise InputError(
                    f"{self.name}: {self.schema.env_id} says which actions are possible; give "
                    "action_mask, which stands in info['action_mask']"
                )
            return rows, None, single
        mask = np.asarray(action_mask).astype(np.bool_)
        mask = mask[None] if single and mask.ndim == 1 else mask
        if mask.shape != (len(rows), self.schema.action.n):
            raise InputError(
                f"{self.name}: the action mask has shape {np.shape(action_mask)}; it should have "
                f"{'' if single else f'{len(rows)} rows of '}{self.schema.action.n} truth values"
            )
        return rows, mask, single


def bind_policy(given: PolicyLike, schema: Schema, name: str | None = None) -> BoundPolicy:
    """Any policy, for observations of `schema`.

    Args:
        name: what people call it, where it has no name of its own.

    Raises:
        InputError: no such policy, or one that cannot act in an environment of this schema.
    """
    if isinstance(given, BoundPolicy):
        given = given.policy
    if isinstance(given, str | os.PathLike):
        return BoundPolicy(load_policy(os.fspath(given), schema), schema)
    if isinstance(given, NetworkPolicy | OnnxPolicy):
        return BoundPolicy(given.bind(schema), schema)
    if isinstance(given, Rule):
        given = given.rule
    return BoundPolicy(as_rule(given, name or name_of(given), schema), schema)


def load_own(name: str) -> BoundPolicy:
    """A policy on disk, for observations in its own fields.

    Args:
        name: a path, of an artefact or of a run; with ``onnx:`` or ``onnx-int8:`` before it, what
            was exported from it.

    Raises:
        InputError: there is none, or it is one that an environment has to be named for.
    """
    kind, _, rest = name.partition(":")
    if name == "random" or kind in ("constant", "expert"):
        raise InputError(f"policy {name!r}: name the environment that it is to play in, too")
    own: NetworkPolicy | OnnxPolicy
    if kind in ONNX_KINDS:
        own = load_onnx(artefact_directory(Path(rest)), ONNX_KINDS[kind], name)
    else:
        own = load_artefact(artefact_directory(Path(name)))
    return BoundPolicy(own, own.schema)


def name_of(given: Any) -> str:
    """What to call an object, a class or a function."""
    own = getattr(given, "name", None)
    if isinstance(own, str) and own:
        return own
    named = given if inspect.isclass(given) or inspect.isroutine(given) else type(given)
    return str(getattr(named, "__name__", "policy"))
