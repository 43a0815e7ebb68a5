"""The pairwise network reads the proof of concept as it reads the other world, by names alone."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import NetworkPolicy, Schema, load_policy, save_policy
from compagnon.policy.graphs import shapes
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import CategoricalHead, Manifest, MatchingHead, PairwiseSpec
from compagnon.policy.network import network_policy
from compagnon.worlds.dispatch.pairs import PAIR_NAMES as DISPATCH_NAMES
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.pairs import PAIR_NAMES
from tests.policy.networks import schema_of


def trips(drivers: int, slots: int, **args: object) -> dict[str, object]:
    return {"observation": "trips", "drivers": drivers, "slots": slots, "hours": 3} | args


def own_schema(given: Schema) -> Schema:
    groups = Groups.of(given.observation.names, "a test")
    return Schema(given.env_id, given.observation.select(groups.names, "published"), given.action)


def drawn_policy(given: Schema, head=None, seed=0) -> NetworkPolicy:
    """Drawn weights, bound to `given`."""
    own = own_schema(given)
    manifest = Manifest(
        name="pairs", schema=own, schema_sha256=own.sha256(),
        network=PairwiseSpec(embedding=5, hidden=(7, 6)), scaler=None,
        head=head or CategoricalHead(), weights_sha256="",
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    weights = {
        name: (0.6 * rng.normal(size=shape)).astype(np.float32)
        for name, shape in shapes(manifest).items()
    }
    return network_policy(manifest, weights).bind(given)


def boards(args, count=24, steps=14):
    """Observations and masks of days in which whatever is possible was done."""
    env, rng = BatchEnv(DISPATCH_POC, args, count), np.random.default_rng(0)
    env.reset(list(range(count)))
    for _ in range(steps):
        draws = np.where(env.action_mask, rng.random(env.action_mask.shape), -1.0)
        env.step(draws.argmax(axis=1))
    assert env.action_mask[:, 1:].any(axis=1).mean() > 0.5
    return env.obs.copy(), env.action_mask.copy()


def test_groups_are_found_by_the_world_s_own_words():
    names = schema_of(DISPATCH_POC, **trips(2, 3)).observation.names
    groups = Groups.of(names, "a test")
    assert (groups.drivers, groups.places, groups.words) == (2, 3, PAIR_NAMES)
    assert groups.world == ("time", "traffic", "demand", "ticks_left")
    assert groups.driver == ("lat", "lon", "available", "load")
    assert groups.place == ("lat", "lon", "priority", "time_left", "to_lat", "to_lon", "window")
    assert groups.pair[:3] == ("feasible", "way", "spare")
    assert groups.actions == 7
    assert sorted(groups.names) == sorted(names)
    few = groups.selected(
        ["time", "driver_available", "place_priority", "pair_feasible", "pair_way"]
    )
    assert few.names[:3] == ("time", "driver_0_available", "driver_1_available")
    assert few.names[-1] == "pair_1_2_way"
    assert DISPATCH_NAMES.pattern("driver").fullmatch("driver_3_lat") is None


@pytest.mark.parametrize("observation", ["published", "pairs"])
def test_observations_without_pairs_are_refused(observation):
    names = schema_of(DISPATCH_POC, observation=observation).observation.names
    with pytest.raises(InputError, match="observation='trips'"):
        Groups.of(names, "a test")


def test_another_order_of_bookings_is_another_order_of_logits():
    args = trips(4, 8)
    obs, _ = boards(args)
    given = schema_of(DISPATCH_POC, **args)
    names = {name: column for column, name in enumerate(given.observation.names)}
    groups = Groups.of(given.observation.names, "a test")
    rng = np.random.default_rng(1)
    drivers, slots = rng.permutation(4), rng.permutation(8)
    source = np.arange(obs.shape[1])
    for new, old in enumerate(drivers):
        for field in groups.driver:
            source[names[f"driver_{new}_{field}"]] = names[f"driver_{old}_{field}"]
    for new, old in enumerate(slots):
        for field in groups.place:
            source[names[f"booking_{new}_{field}"]] = names[f"booking_{old}_{field}"]
    for d, old_d in enumerate(drivers):
        for j, old_j in enumerate(slots):
            for field in groups.pair:
                source[names[f"pair_{d}_{j}_{field}"]] = names[f"pair_{old_d}_{old_j}_{field}"]
    policy = drawn_policy(given)
    before, after = policy.outputs(obs), policy.outputs(obs[:, source])
    pairs = before[:, 1:].reshape(-1, 4, 8)[:, drivers][:, :, slots]
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=2e-5)
    np.testing.assert_allclose(after[:, 1:].reshape(-1, 4, 8), pairs, atol=2e-5)
    assert not np.allclose(after, before, atol=1e-2)


def test_empty_slots_and_more_boards_change_nothing():
    """Places that no board uses are not computed at all."""
    wide, narrow = schema_of(DISPATCH_POC, **trips(3, 20)), schema_of(DISPATCH_POC, **trips(3, 9))
    obs, _ = boards(trips(3, 20))
    policy = drawn_policy(wide)
    whole = policy.outputs(obs)
    np.testing.assert_allclose(policy.outputs(obs[:1]), whole[:1], atol=2e-5)
    columns = [wide.observation.names.index(name) for name in narrow.observation.names]
    beyond = wide.observation.names.index("booking_9_priority")
    rows = obs[:, beyond] == 0
    assert rows.any()
    less = policy.bind(narrow).outputs(obs[rows][:, columns])
    np.testing.assert_allclose(
        less[:, 1:].reshape(-1, 3, 9), whole[rows, 1:].reshape(-1, 3, 20)[:, :, :9], atol=2e-5
    )


def test_a_board_without_bookings_has_a_wait_and_nothing_else():
    given = schema_of(DISPATCH_POC, **trips(2, 3))
    outputs = drawn_policy(given).outputs(np.zeros((1, len(given.observation.fields)), np.float32))
    assert outputs.shape == (1, 7)
    assert (outputs[0, 1:] == 0).all()
    assert outputs[0, 0] != 0


@pytest.mark.parametrize("head", [CategoricalHead(), MatchingHead()])
def test_it_plays_only_what_is_possible_and_survives_saving(head, tmp_path):
    args = trips(4, 8)
    obs, mask = boards(args)
    given = schema_of(DISPATCH_POC, **args)
    policy = drawn_policy(given, head)
    actions = policy.act(obs, mask)
    assert mask[np.arange(len(obs)), actions].all()
    if isinstance(head, CategoricalHead):
        save_policy(policy, tmp_path / "it")
        again = load_policy(str(tmp_path / "it"), given)
        np.testing.assert_array_equal(again.act(obs, mask), actions)
