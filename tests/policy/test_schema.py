"""A policy finds its inputs by name and unit, wherever they stand."""

import numpy as np
import pytest
from gymnasium import spaces

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.worlds.workshop import WORKSHOP
from tests.envs.own import Spaces, batch_of
from tests.policy.networks import schema_of

SHOWN = [
    {"observation": observation, "scaling": scaling}
    for observation in ("full", "compact")
    for scaling in ("physical", "published")
]


def some_obs(**env_args: object) -> tuple[Schema, np.ndarray]:
    """Observations of the same moments, however they are shown."""
    env = BatchEnv(WORKSHOP, env_args, 4)
    env.reset([1, 2, 3, 4])
    rng = np.random.default_rng(0)
    for _ in range(300):
        choice = [rng.choice(np.flatnonzero(row)) for row in env.action_mask]
        env.step(np.array(choice))
    return Schema.of(env), env.obs.copy()


@pytest.mark.parametrize("given", SHOWN, ids=str)
@pytest.mark.parametrize("scaling", ["physical", "published"])
def test_every_view_of_a_moment_projects_to_the_same_inputs(given, scaling):
    compact, _ = some_obs(observation="compact")
    wanted = compact.observation.select(compact.observation.names, scaling=scaling)
    _, expected = some_obs(observation="compact", scaling=scaling)
    schema, obs = some_obs(**given)
    projected = wanted.projection_from(schema.observation, "it")(obs)
    assert projected.dtype == np.float32
    np.testing.assert_allclose(projected, expected, rtol=1e-6)


def test_the_same_schema_is_read_without_a_copy():
    schema, obs = some_obs(observation="compact")
    projection = schema.observation.projection_from(schema.observation, "it")
    assert projection(obs) is obs


def test_columns_in_another_order_are_found():
    names = ["p2", "raw", "time"]
    schema, obs = some_obs(observation=names)
    wanted = schema.observation.select(["time", "p2"])
    np.testing.assert_array_equal(
        wanted.projection_from(schema.observation, "it")(obs), obs[:, [2, 0]]
    )


def test_a_missing_field_is_named():
    full, compact = schema_of().observation, schema_of(observation="compact").observation
    with pytest.raises(InputError, match="it needs the observation fields last_family, last_k"):
        full.projection_from(compact, "it")
    with pytest.raises(InputError, match="does not show the field 'last_k'"):
        compact.select(["last_k"])


def test_of_reads_spaces():
    cartpole = schema_of("CartPole-v1")
    assert (cartpole.action.kind, cartpole.action.n) == ("discrete", 2)
    pendulum = schema_of("Pendulum-v1")
    assert (pendulum.action.kind, pendulum.action.n) == ("box", 1)
    assert pendulum.action.low == (-2.0,)
    lake = schema_of("FrozenLake-v1")
    assert lake.observation.names[:2] == ("obs=0", "obs=1")
    assert len(lake.observation.names) == 16


def test_vectors_of_whole_numbers_are_refused(monkeypatch):
    box = spaces.Box(0, 5, (2,), np.int64)
    env = batch_of(monkeypatch, Spaces(spaces.Discrete(2), [0], box))
    with pytest.raises(InputError, match=r"are whole numbers.*use MultiDiscrete, or a Box"):
        Schema.of(env)


def test_old_hashes_hold():
    """Of a schema without parts, as policies on disk have it."""
    assert schema_of("CartPole-v1").sha256().startswith("9ac74ecf5edbfe2b")


def test_the_hash_tells_schemas_apart():
    hashes = {schema_of(**shown).sha256() for shown in SHOWN}
    assert len(hashes) == len(SHOWN)
    assert schema_of().sha256() == schema_of().sha256()
