"""What a policy reads and what it may choose: the contract between policies and environments."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final

import numpy as np
import pydantic
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs import BatchEnv, Field
from compagnon.envs.products import ActionProduct
from compagnon.errors import InputError
from compagnon.plugins import own_worlds

_NO_BOUND: Final = 1e30  # some environments write the largest float where they mean no bound


@dataclass(frozen=True, slots=True)
class Projection:
    """How to read wanted columns out of an environment's observations."""

    columns: NDArray[np.int64]
    factors: NDArray[np.float32]
    identity: bool

    def __call__(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, F) as the environment gives it -> (N, wanted), float32."""
        if self.identity:
            return obs
        return obs[:, self.columns] * self.factors


@dataclass(frozen=True, slots=True)
class ObservationSchema:
    """Named fields in a given scaling (`physical`, or `published`: divided by their divisors)."""

    fields: tuple[Field, ...]
    scaling: str = "physical"

    @property
    def names(self) -> tuple[str, ...]:
        """The field names, in column order."""
        return tuple(field.name for field in self.fields)

    def select(self, names: Sequence[str], scaling: str | None = None) -> "ObservationSchema":
        """The named fields of this schema, in the order given.

        Raises:
            InputError: a field that this schema does not have.
        """
        by_name = {field.name: field for field in self.fields}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise InputError(
                f"the environment does not show the field {missing[0]!r}; "
                f"it shows {', '.join(by_name)}"
            )
        return ObservationSchema(
            tuple(by_name[name] for name in names), self.scaling if scaling is None else scaling
        )

    def projection_from(self, given: "ObservationSchema", who: str) -> Projection:
        """How to read this schema's columns from observations of schema `given`.

        Raises:
            InputError: `given` lacks a field; the message says that `who` needs it.
        """
        position = {name: index for index, name in enumerate(given.names)}
        missing = [name for name in self.names if name not in position]
        if missing:
            raise InputError(
                f"{who} needs the observation field{'s' if len(missing) > 1 else ''} "
                f"{', '.join(missing)}, which this environment does not show "
                f"(it shows {', '.join(given.names)})"
            )
        columns = np.array([position[name] for name in self.names], np.int64)
        factors = np.ones(len(columns))
        if given.scaling == "published":
            factors *= [given.fields[column].divisor for column in columns]
        if self.scaling == "published":
            factors /= [field.divisor for field in self.fields]
        same = self.names == given.names and bool(np.all(factors == 1.0))
        return Projection(columns, factors.astype(np.float32), same)


@dataclass(frozen=True, slots=True)
class ActionSchema:
    """What may be chosen: one of `n` actions, or a vector within bounds.

    Attributes:
        factors: how many choices each part has, where an action has several parts; actions are
            their combinations, the last part fastest.
        starts: the first choice of each part.
    """

    kind: str
    n: int
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    factors: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """What it is, for a person."""
        if self.factors:
            parts = " x ".join(map(str, self.factors))
            return f"discrete, {self.n} actions ({parts}, from {', '.join(map(str, self.starts))})"
        if self.kind == "discrete":
            return f"discrete, {self.n} actions"
        bounds = [f"{low:g} to {high:g}" for low, high in zip(self.low, self.high, strict=True)]
        return f"a vector of {self.n}: {', '.join(bounds)}"

    def without_bounds(self) -> int | None:
        """The first component that lacks a bound, or has one that is none, such as 3.4e38."""
        low, high = np.array(self.low), np.array(self.high)
        open_ = ~(np.abs(low) < _NO_BOUND) | ~(np.abs(high) < _NO_BOUND)
        return int(np.argmax(open_)) if open_.any() else None

    def middle_and_half(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The middle and half the range of each component, (D,); 0 and 1 where a bound is missing.

        Networks speak in these units: -1 is the lower bound and 1 the upper one.
        """
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        bounded = np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):  # of two infinities, which are not taken
            middle = np.where(bounded, (low + high) / 2, 0).astype(np.float32)
            half = np.where(bounded, (high - low) / 2, 1).astype(np.float32)
        return middle, half

    def from_units(self, units: NDArray[np.float32]) -> NDArray[np.float32]:
        """Units (N, D) -> actions (N, D) float32 within the bounds."""
        middle, half = self.middle_and_half()
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        return np.clip(middle + half * units, low, high).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Schema:
    """The observation and action schema of an environment or a policy.

    Attributes:
        env_args: the environment's arguments where it is at hand, for rules that know its prices;
            no part of the contract, so neither compared nor hashed nor written.
        masked: the environment says which actions are possible; None where that was not recorded.
    """

    env_id: str
    observation: ObservationSchema
    action: ActionSchema
    env_args: Annotated[dict[str, Any], pydantic.Field(exclude=True)] = field(
        default_factory=dict, compare=False, repr=False
    )
    masked: bool | None = field(default=None, compare=False)

    @property
    def needs_mask(self) -> bool:
        """Whoever asks for a decision must say what is possible.

        Policies that were saved before this was recorded need masks if they are of one of our own
        worlds that have always given them; of any other world it is not known, and they do without.
        """
        return self._usually_masked if self.masked is None else self.masked

    @property
    def _usually_masked(self) -> bool:
        return any(world.always_masked and self.env_id in world.env_ids for world in own_worlds())

    @classmethod
    def of(cls, env: BatchEnv) -> "Schema":
        """The schema of an environment.

        Raises:
            InputError: an action space that no policy here can serve.
        """
        action = action_schema(env.action_space, env.action_product, env.env_id)
        shown = ObservationSchema(env.fields, env.scaling)
        return cls(env.env_id, shown, action, dict(env.env_args), env.gives_masks())

    def sha256(self) -> str:
        """A hash of everything in the schema, for comparison by machines."""
        tree = asdict(self)
        del tree["env_args"], tree["masked"]
        if self.needs_mask != self._usually_masked:
            tree["masked"] = self.needs_mask
        # What came later and says nothing here is left out, so that old hashes still hold.
        tree["action"] = {
            key: value
            for key, value in tree["action"].items()
            if key not in ("factors", "starts") or value
        }
        # A range may be given as 50 and read back as 50.0: the same number must give the same hash.
        text = json.dumps(_with_floats(tree), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def action_schema(
    space: spaces.Space[Any], product: ActionProduct | None, who: str
) -> ActionSchema:
    """What may be chosen of a space.

    Args:
        product: how its actions are numbered; None where they are numbers already, or vectors.

    Raises:
        InputError: an action space that no policy here can serve; it names `who`.
    """
    if isinstance(space, spaces.Discrete):
        if product is None:
            return ActionSchema("discrete", int(space.n))
        return ActionSchema(
            "discrete", int(space.n), factors=product.factors, starts=product.starts
        )
    if isinstance(space, spaces.Box) and space.dtype.kind in "iub":
        raise InputError(
            f"{who}: actions {space} are whole numbers, and a policy of vectors plays numbers "
            "between them; use MultiDiscrete, or a Box of float32 whose numbers the environment "
            "rounds itself"
        )
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        low = tuple(float(value) for value in space.low)
        high = tuple(float(value) for value in space.high)
        return ActionSchema("box", space.shape[0], low, high)
    raise InputError(
        f"{who}: actions {space} are not served; Discrete, MultiDiscrete, MultiBinary and Box of "
        "one dimension are"
    )


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_floats(item) for item in value]
    return float(value) if isinstance(value, int) else value
