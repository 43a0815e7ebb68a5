"""Boards of dispatch that are made up, and small pairwise networks with drawn weights."""

from typing import Literal

import numpy as np

from compagnon.envs import Field
from compagnon.policy import NetworkPolicy, Schema
from compagnon.policy.graphs import shapes
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import CategoricalHead, Head, Manifest, PairwiseSpec
from compagnon.policy.network import network_policy
from compagnon.policy.schema import ActionSchema, ObservationSchema
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.fields import Layout, all_fields


def schema(drivers: int, places: int, scaling: str = "physical") -> Schema:
    """What dispatch shows with so many drivers and places."""
    layout = Layout(drivers, places)
    fields: tuple[Field, ...] = all_fields(layout)
    return Schema(
        DISPATCH, ObservationSchema(fields, scaling), ActionSchema("discrete", layout.actions)
    )


def pairwise_policy(
    drivers: int = 3,
    places: int = 4,
    head: Head | None = None,
    activation: Literal["tanh", "relu"] = "relu",
    seed: int = 0,
) -> NetworkPolicy:
    """A policy with drawn weights."""
    own = schema(drivers, places, "published")
    manifest = Manifest(
        name="pairs",
        schema=own,
        schema_sha256=own.sha256(),
        network=PairwiseSpec(embedding=5, hidden=(7, 6), activation=activation),
        scaler=None,
        head=head or CategoricalHead(),
        weights_sha256="",
    )
    rng = np.random.default_rng(seed)
    weights = {
        name: (0.6 * rng.normal(size=shape)).astype(np.float32)
        for name, shape in shapes(manifest).items()
    }
    return network_policy(manifest, weights)


class Cut:
    """One group after the other of boards of a schema, in physical units."""

    def __init__(self, drivers: int, places: int, count: int, rng: np.random.Generator) -> None:
        groups = Groups.of(schema(drivers, places).observation.names, "a test")
        divisor = {f.name: f.divisor for f in schema(drivers, places).observation.fields}
        self.groups = groups

        def scale(prefix: str, names: tuple[str, ...]) -> np.ndarray:
            return np.array([divisor[f"{prefix}{name}"] for name in names])

        def draw(*shape: int) -> np.ndarray:
            return rng.normal(size=shape)

        self.world = draw(count, len(groups.world)) * scale("", groups.world)
        self.driver = draw(count, drivers, len(groups.driver)) * scale("driver0_", groups.driver)
        self.place = draw(count, places, len(groups.place)) * scale("place0_", groups.place)
        self.pair = draw(count, drivers, places, len(groups.pair)) * scale("pair0_0_", groups.pair)
        self.driver[..., groups.driver.index("present")] = 1.0
        self.place[..., groups.place.index("shown")] = 1.0
        feasible = rng.random((count, drivers, places)) < 0.6
        self.pair[..., groups.pair.index("added_cost")] = rng.uniform(
            0, 120, (count, drivers, places)
        )
        self.pair[..., groups.pair.index("feasible")] = 1.0
        self.pair[~feasible] = 0.0

    def flat(self) -> np.ndarray:
        """Observations (count, F)."""
        parts = [self.world, *(part.reshape(len(part), -1) for part in self.rows())]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.driver, self.place, self.pair

    def reordered(self, drivers: np.ndarray, places: np.ndarray) -> "Cut":
        """The same boards with drivers and places in another order."""
        other = object.__new__(Cut)
        other.groups, other.world = self.groups, self.world
        other.driver, other.place = self.driver[:, drivers], self.place[:, places]
        other.pair = self.pair[:, drivers][:, :, places]
        return other

    def padded(self, drivers: int, places: int) -> "Cut":
        """The same boards with so many more rows of drivers and places that are not there."""
        other = object.__new__(Cut)
        other.groups, other.world = self.groups, self.world
        more = ((0, 0), (0, drivers), (0, places))
        other.driver = np.pad(self.driver, (more[0], more[1], (0, 0)))
        other.place = np.pad(self.place, (more[0], more[2], (0, 0)))
        other.pair = np.pad(self.pair, (*more, (0, 0)))
        return other


def parts(outputs: np.ndarray, drivers: int, places: int) -> tuple[np.ndarray, ...]:
    """Outputs (N, A) as wait (N,), pairs (N, D, B), refusals (N, B)."""
    last = 1 + drivers * places
    return outputs[:, 0], outputs[:, 1:last].reshape(-1, drivers, places), outputs[:, last:]
