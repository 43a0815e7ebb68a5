"""Every head makes of the network's outputs what its formula says, within what is allowed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.numpy import load_file, save
from scipy import stats

from compagnon.envs import Field
from compagnon.errors import InputError
from compagnon.policy import Schema, artefact, load_artefact, load_policy, save_policy
from compagnon.policy.basic import RandomBoxPolicy, RandomPolicy
from compagnon.policy.manifest import (
    CategoricalHead,
    DeterministicHead,
    GaussianHead,
    Head,
    Manifest,
    ValuesHead,
)
from compagnon.policy.network import (
    CategoricalPolicy,
    DeterministicPolicy,
    GaussianPolicy,
    ValuesPolicy,
)
from compagnon.policy.schema import ActionSchema, ObservationSchema
from tests.policy.networks import network, schema_of
from tests.policy.test_artefact import edit_manifest, rehash

LOW, HIGH = (-2.0, 0.0, 10.0), (2.0, 6.0, 30.0)
MIDDLE, HALF = np.array([0, 3, 20], np.float32), np.array([2, 3, 10], np.float32)
SEEN = ObservationSchema(tuple(Field(f"x{i}", "", -1.0, 1.0, 1.0, "a number") for i in range(4)))
BOX = Schema("vectors", SEEN, ActionSchema("box", 3, LOW, HIGH))
DISCRETE = Schema("choices", SEEN, ActionSchema("discrete", 5))

HEADS: dict[str, tuple[Schema, Head]] = {
    "categorical": (DISCRETE, CategoricalHead()),
    "values": (DISCRETE, ValuesHead()),
    "gaussian": (BOX, GaussianHead()),
    "gaussian by state": (BOX, GaussianHead(state_dependent=True)),
    "sigmoid": (BOX, DeterministicHead(squash="sigmoid")),
    "tanh": (BOX, DeterministicHead(squash="tanh")),
}
EVERY_HEAD = pytest.mark.parametrize(("schema", "head"), HEADS.values(), ids=HEADS.keys())
BOX_HEADS = pytest.mark.parametrize(
    "head",
    [head for schema, head in HEADS.values() if schema is BOX],
    ids=[name for name, (schema, _) in HEADS.items() if schema is BOX],
)


def obs_of(rows: int = 200, seed: int = 1) -> np.ndarray:
    return (5 * np.random.default_rng(seed).normal(size=(rows, 4))).astype(np.float32)


# -- units --------------------------------------------------------------------------------------


def test_units_by_hand():
    units = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1], [0.5, -0.5, 0.1]], np.float32)
    wanted = [LOW, (0, 3, 20), HIGH, (1, 1.5, 21)]
    found = BOX.action.from_units(units)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == np.float32
    middle, half = BOX.action.middle_and_half()
    np.testing.assert_array_equal(middle, MIDDLE)
    np.testing.assert_array_equal(half, HALF)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32)), min_size=1),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_units_lead_within_the_bounds_whatever_they_are(bounds, seed):
    low = np.array([first for first, _ in bounds], np.float32)
    high = low + np.array([width for _, width in bounds], np.float32)
    action = ActionSchema("box", len(low), tuple(low.tolist()), tuple(high.tolist()))
    units = np.random.default_rng(seed).normal(size=(50, len(low))) * 3
    found = action.from_units(units.astype(np.float32))
    assert ((found >= low) & (found <= high)).all()


@pytest.mark.parametrize(
    ("low", "high"), [(-np.inf, np.inf), (-np.inf, 3.0), (-3.0, np.inf)], ids=str
)
def test_where_a_bound_is_missing_units_are_the_action_s_own(low, high):
    action = ActionSchema("box", 1, (low,), (high,))
    units = np.array([[-9.0], [-1.0], [0.5], [9.0]], np.float32)
    np.testing.assert_array_equal(action.from_units(units), np.clip(units, low, high))


def test_units_are_not_changed_in_place():
    units = np.full((2, 3), 9.0, np.float32)
    BOX.action.from_units(units)
    np.testing.assert_array_equal(units, 9.0)


# -- what a head makes of outputs ---------------------------------------------------------------


def test_each_head_makes_its_own_kind_of_policy():
    kinds = {name: type(network(schema, head=head)) for name, (schema, head) in HEADS.items()}
    assert kinds == {
        "categorical": CategoricalPolicy,
        "values": ValuesPolicy,
        "gaussian": GaussianPolicy,
        "gaussian by state": GaussianPolicy,
        "sigmoid": DeterministicPolicy,
        "tanh": DeterministicPolicy,
    }


def test_values_choose_the_best_that_is_possible_and_never_draw():
    policy = network(DISCRETE, head=ValuesHead())
    assert isinstance(policy, ValuesPolicy)
    obs, rng = obs_of(), np.random.default_rng(2)
    mask = rng.random((len(obs), 5)) < 0.4
    mask[np.arange(len(obs)), rng.integers(5, size=len(obs))] = True
    wanted = np.where(mask, policy.values(obs), -np.inf).argmax(axis=1)
    assert (wanted != policy.values(obs).argmax(axis=1)).any()  # the mask matters
    np.testing.assert_array_equal(policy.act(obs, mask), wanted)
    np.testing.assert_array_equal(policy.act(obs, mask, rng), wanted)
    np.testing.assert_array_equal(policy.probabilities(obs, mask), np.eye(5)[wanted])
    assert policy.act(obs).dtype == np.int64


@pytest.mark.parametrize("squash", ["sigmoid", "tanh"])
def test_a_deterministic_action_is_the_squashed_output(squash):
    policy = network(BOX, head=DeterministicHead(squash=squash))
    outputs = policy.outputs(obs_of()).astype(np.float64)
    units = np.tanh(outputs) if squash == "tanh" else 2 / (1 + np.exp(-outputs)) - 1
    np.testing.assert_allclose(policy.act(obs_of()), MIDDLE + HALF * units, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        policy.act(obs_of(), rng=np.random.default_rng(0)), policy.act(obs_of())
    )


@pytest.mark.parametrize("squash", ["sigmoid", "tanh"])
def test_squashing_does_not_overflow(squash):
    policy = network(BOX, head=DeterministicHead(squash=squash), scale=1e6)
    with np.errstate(all="raise"):
        actions = policy.act(obs_of())
    assert np.isin(actions, np.array([LOW, HIGH])).all()


def test_a_gaussian_s_deviation_is_the_same_in_every_state_or_an_output():
    everywhere, by_state = (
        network(BOX, head=GaussianHead(state_dependent=by_state)) for by_state in (False, True)
    )
    assert isinstance(everywhere, GaussianPolicy)
    assert isinstance(by_state, GaussianPolicy)
    means, stds = everywhere.means_and_stds(obs_of())
    np.testing.assert_array_equal(means, everywhere.outputs(obs_of()))
    wanted = np.exp(everywhere.weights["head.log_std"])
    np.testing.assert_allclose(stds, np.tile(wanted, (200, 1)), rtol=1e-6)
    outputs = by_state.outputs(obs_of())
    assert outputs.shape == (200, 6)
    means, stds = by_state.means_and_stds(obs_of())
    np.testing.assert_array_equal(means, outputs[:, :3])
    np.testing.assert_allclose(stds, np.exp(outputs[:, 3:]), rtol=1e-6)


@pytest.mark.parametrize("state_dependent", [False, True])
def test_a_gaussian_plays_its_mean_or_draws_around_it(state_dependent):
    unbounded = replace(BOX, action=ActionSchema("box", 3, (-np.inf,) * 3, (np.inf,) * 3))
    policy = network(unbounded, head=GaussianHead(state_dependent=state_dependent))
    assert isinstance(policy, GaussianPolicy)
    obs = np.repeat(obs_of(1), 5000, axis=0)
    means, stds = policy.means_and_stds(obs[:1])
    np.testing.assert_array_equal(policy.act(obs[:1]), means)
    draws = policy.act(obs, rng=np.random.default_rng(3))
    for column in range(3):
        law = stats.norm(means[0, column], stds[0, column])
        assert stats.kstest(draws[:, column], law.cdf).pvalue > 0.001
    assert np.abs(np.corrcoef(draws.T)[np.triu_indices(3, 1)]).max() < 0.06


@BOX_HEADS
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 10.0]), st.booleans())
def test_vectors_stay_within_the_bounds(head, seed, scale, sampled):
    policy = network(BOX, head=head, scale=scale)
    actions = policy.act(obs_of(seed=seed), rng=np.random.default_rng(seed) if sampled else None)
    assert actions.shape == (200, 3)
    assert actions.dtype == np.float32
    assert ((np.array(LOW) <= actions) & (actions <= np.array(HIGH))).all()


@EVERY_HEAD
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_outputs_are_those_of_the_layers(schema, head, layer_norm, activation):
    policy = network(schema, (6, 5), head=head, layer_norm=layer_norm, activation=activation)
    weights = {name: array.astype(np.float64) for name, array in policy.weights.items()}
    x = np.clip((obs_of() - weights["scaler.mean"]) / weights["scaler.std"], -10, 10)
    for layer in range(3):
        x = x @ weights[f"actor.{layer}.weight"].T + weights[f"actor.{layer}.bias"]
        if layer == 2:
            break
        if layer_norm:
            x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
            x = x * weights[f"actor.{layer}.norm.weight"] + weights[f"actor.{layer}.norm.bias"]
        x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0)
    np.testing.assert_allclose(policy.outputs(obs_of()), x, rtol=1e-4, atol=1e-4)


@EVERY_HEAD
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_by_every_head(schema, head, bad):
    policy, obs = network(schema, head=head), obs_of(4)
    obs[2, 1] = bad
    for rng in (None, np.random.default_rng(0)):
        with pytest.raises(InputError, match="row 2, column 1"):
            policy.act(obs, rng=rng)
    weights = {**policy.weights, "actor.1.bias": np.full_like(policy.weights["actor.1.bias"], bad)}
    with pytest.raises(InputError, match="the outputs of row 0 are not finite"):
        replace(policy, weights=weights).act(obs_of(4))


# -- on disk ------------------------------------------------------------------------------------


@EVERY_HEAD
@pytest.mark.parametrize("layer_norm", [False, True])
def test_every_head_comes_back_from_disk(schema, head, layer_norm, tmp_path):
    policy = network(schema, head=head, layer_norm=layer_norm)
    save_policy(policy, tmp_path / "it")
    loaded = load_artefact(tmp_path / "it")
    assert type(loaded) is type(policy)
    assert loaded.manifest.head == head
    assert loaded.schema == schema
    for rng in (None, 3):
        actions = [
            each.act(obs_of(), rng=None if rng is None else np.random.default_rng(rng))
            for each in (policy, loaded)
        ]
        np.testing.assert_array_equal(*actions)


def test_a_head_without_bounds_comes_back_from_disk(tmp_path):
    action = ActionSchema("box", 3, (-np.inf,) * 3, (np.inf,) * 3)
    schema = replace(BOX, action=action)
    save_policy(network(schema, head=GaussianHead()), tmp_path / "it")
    assert load_artefact(tmp_path / "it").schema == schema


@pytest.mark.parametrize(
    ("schema", "head"), [(BOX, CategoricalHead()), (BOX, ValuesHead()), (DISCRETE, GaussianHead())]
)
def test_a_head_for_other_actions_is_refused(schema, head, tmp_path):
    save_policy(network(schema, head=head), tmp_path / "it")
    served = "discrete" if schema is BOX else "box"
    with pytest.raises(InputError, match=rf"head\.kind '{head.kind}' serves {served} actions"):
        load_artefact(tmp_path / "it")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("gaussian", lambda m: m["head"].update(state_dependent=True), "should have shape"),
        ("gaussian by state", lambda m: m["head"].update(state_dependent=False), "have shape"),
        ("tanh", lambda m: m["head"].update(squash="softsign"), "head.deterministic.squash"),
        ("tanh", lambda m: m["head"].update(kind="bernoulli"), "head"),
        ("values", lambda m: m["head"].update(temperature=2), "temperature"),
        ("values", lambda m: m["network"].update(layer_norm=True), "norm.weight should have shape"),
    ],
)
def test_an_edited_head_is_refused(name, change, said, tmp_path):
    schema, head = HEADS[name]
    save_policy(network(schema, head=head), tmp_path / "it")
    edit_manifest(tmp_path / "it", change)
    with pytest.raises(InputError, match=said):
        load_artefact(tmp_path / "it")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("head.log_std"), r"head\.log_std should have shape \(3,\), found nothing"),
        (lambda w: w.update({"head.log_std": np.zeros(2, np.float32)}), r"log_std should have sha"),
        (lambda w: w["head.log_std"].fill(np.nan), r"head\.log_std holds numbers that are not fin"),
        (lambda w: w.pop("actor.0.norm.bias"), r"actor\.0\.norm\.bias should have shape \(8,\)"),
    ],
)
def test_weights_that_do_not_fit_a_head_are_refused(change, said, tmp_path):
    save_policy(network(BOX, head=GaussianHead(), layer_norm=True), tmp_path / "it")
    file = tmp_path / "it" / artefact.WEIGHTS_FILE
    weights = load_file(file)
    change(weights)
    file.write_bytes(save(weights))
    rehash(tmp_path / "it")
    with pytest.raises(InputError, match=said):
        load_artefact(tmp_path / "it")


def test_other_bounds_are_other_actions(tmp_path):
    pendulum = schema_of("Pendulum-v1")
    save_policy(network(pendulum, head=DeterministicHead()), tmp_path / "it")
    assert load_policy(str(tmp_path / "it"), pendulum).act(np.zeros((1, 3), np.float32)).size == 1
    other = replace(pendulum, action=replace(pendulum.action, low=(-1.0,), high=(1.0,)))
    with pytest.raises(InputError, match=r"\(a vector of 1: -2 to 2\) and cannot act in"):
        load_policy(str(tmp_path / "it"), other)
    with pytest.raises(InputError, match=r"a vector of 1: -2 to 2.*discrete, 2 actions"):
        load_policy(str(tmp_path / "it"), schema_of("CartPole-v1"))


def test_a_manifest_of_before_there_were_heads_is_categorical():
    policy = network(DISCRETE)
    tree = json.loads(policy.manifest.model_dump_json(by_alias=True))
    del tree["head"]
    assert Manifest.model_validate(tree).head == CategoricalHead()
    tree["head"] = {"kind": "masked_categorical"}
    assert Manifest.model_validate(tree).head == CategoricalHead()
    tree["head"] = {}
    with pytest.raises(ValidationError, match="kind"):
        Manifest.model_validate(tree)


# -- at random ----------------------------------------------------------------------------------


def test_random_play_suits_the_actions():
    assert isinstance(load_policy("random", DISCRETE), RandomPolicy)
    assert isinstance(load_policy("random", BOX), RandomBoxPolicy)


@pytest.mark.parametrize("sampled", [True, False], ids=["drawn", "from a hash of what is seen"])
def test_random_vectors_are_uniform_and_their_components_independent(sampled):
    obs = obs_of(20_000)
    actions = RandomBoxPolicy(BOX).act(obs, rng=np.random.default_rng(4) if sampled else None)
    assert actions.dtype == np.float32
    shares = (actions - np.array(LOW)) / (np.array(HIGH) - np.array(LOW))
    assert ((shares >= 0) & (shares <= 1)).all()
    for column in shares.T:
        assert stats.kstest(column, "uniform").pvalue > 0.001
    correlations = np.corrcoef(shares.T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.03  # four deviations of 20,000 independent pairs


def test_random_vectors_without_a_generator_are_a_function_of_what_is_seen():
    policy, obs = RandomBoxPolicy(BOX), obs_of(50)
    actions = policy.act(obs)
    np.testing.assert_array_equal(policy.act(obs[::-1])[::-1], actions)
    np.testing.assert_array_equal(policy.act(obs[:1]), actions[:1])
    assert len(np.unique(actions, axis=0)) == 50


def test_random_vectors_need_bounds():
    schema = replace(BOX, action=ActionSchema("box", 1, (-np.inf,), (1.0,)))
    with pytest.raises(InputError, match=r"needs bounds to draw between; vectors has a vector of"):
        load_policy("random", schema)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_random_vectors_refuse_what_is_no_number(bad):
    obs = obs_of(4)
    obs[2, 1] = bad
    with pytest.raises(InputError, match="row 2, column 1"):
        RandomBoxPolicy(BOX).act(obs)
