"""What is equal but for rounding is equal: the first action is taken, in every program."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compagnon.policy.network import TIE, _best_possible
from compagnon.policy.onnx_policy import load_onnx
from tests.policy.networks import network, schema_of
from tests.serving.support import export

OUTPUTS = arrays.arrays(
    np.float32, (4, 6), elements=st.floats(-100, 100, width=32, allow_subnormal=False)
)
MASKS = arrays.arrays(np.bool_, (4, 6)).map(lambda mask: mask | (np.arange(6) == 5))


def size_of(outputs, mask):
    return np.abs(np.where(mask, outputs, 0.0)).max(axis=1)


@given(OUTPUTS, MASKS)
def test_it_is_possible_as_good_as_the_best_and_the_first_of_those(outputs, mask):
    best = _best_possible(outputs, mask)
    for row, action in enumerate(best):
        possible = np.flatnonzero(mask[row])
        values = outputs[row].astype(np.float64)
        within = 1.01 * TIE * size_of(outputs, mask)[row]
        assert action in possible
        assert values[action] >= values[possible].max() - within
        before = possible[possible < action]
        assert (values[before] < values[possible].max() - 0.98 * within).all()


@given(OUTPUTS, MASKS, st.integers(0, 2**32 - 1))
def test_rounding_changes_nothing_of_what_is_equal(outputs, mask, seed):
    outputs = np.round(outputs)  # so that many are equal, and the others far apart
    noise = np.random.default_rng(seed).uniform(-1e-6, 1e-6, outputs.shape)
    noisy = (outputs + noise * size_of(outputs, mask)[:, None]).astype(np.float32)
    assert _best_possible(noisy, mask).tolist() == _best_possible(outputs, mask).tolist()


@given(OUTPUTS, MASKS, st.integers(-6, 6))
def test_the_unit_of_the_outputs_does_not_matter(outputs, mask, power):
    scaled = outputs * np.float32(2.0**power)
    assert _best_possible(scaled, mask).tolist() == _best_possible(outputs, mask).tolist()


def test_an_impossible_action_widens_no_tie():
    outputs = np.array([[1.0, 1.001, 1e9]], np.float32)
    assert _best_possible(outputs, np.array([[True, True, False]])).tolist() == [1]
    assert _best_possible(outputs[:, :2], None).tolist() == [1]


@pytest.mark.parametrize("seed", range(5))
def test_sums_of_the_same_terms_in_another_order_are_equal_everywhere(tmp_path, seed):
    rng = np.random.default_rng(seed)
    policy = network(schema_of("CartPole-v1"), (64, 64))
    for part in ("weight", "bias"):  # every unit says the same ...
        policy.weights[f"actor.1.{part}"][:] = policy.weights[f"actor.1.{part}"][:1]
    policy.weights["actor.2.weight"][1] = rng.permutation(policy.weights["actor.2.weight"][0])
    policy.weights["actor.2.bias"][:] = 0.0  # ... so both actions add up the same numbers
    obs = rng.normal(size=(256, 4)).astype(np.float32)
    mask = np.ones((256, 2), np.bool_)
    served = load_onnx(export(policy, tmp_path / "policy"))
    exactly = policy.outputs(obs).argmax(axis=1)
    assert exactly.any()  # rounding alone would have told them apart
    assert not policy.act(obs, mask).any()
    assert not served.act(obs, mask).any()
    assert not any(served.act(obs[k : k + 1], mask[k : k + 1])[0] for k in range(256))
