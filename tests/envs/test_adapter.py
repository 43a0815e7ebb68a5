"""Every space that people have becomes named numbers and numbered actions, or a sentence."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from compagnon.envs import BatchEnv, Field
from compagnon.envs.adapter import Adapter
from compagnon.envs.encoding import Encoder
from compagnon.envs.products import BadMaskError, product_of
from compagnon.errors import FaultyEnvError, InputError
from compagnon.policy import Schema
from tests.envs.own import Spaces, batch_of

GO = spaces.Discrete(2)
BOX = spaces.Box(-1, 1, (2,), np.float32)
NESTED = spaces.Dict(
    {
        "robot": spaces.Dict({"arm": BOX, "grip": spaces.Discrete(2)}),
        "level": spaces.Box(0, 9, (), np.int64),
        "pair": spaces.Tuple((spaces.Discrete(2, start=5), spaces.MultiBinary(2))),
    }
)
ENCODED = {
    "discrete": (spaces.Discrete(3, start=1), 2, ["obs=1", "obs=2", "obs=3"], [0, 1, 0]),
    "binary": (spaces.MultiBinary(2), np.array([1, 0]), ["obs[0]", "obs[1]"], [1, 0]),
    "several": (
        spaces.MultiDiscrete([2, 3]),
        np.array([1, 2]),
        ["obs[0]=0", "obs[0]=1", "obs[1]=0", "obs[1]=1", "obs[1]=2"],
        [0, 1, 0, 0, 1],
    ),
    "grid": (
        spaces.Box(0, 9, (2, 2), np.int32),
        np.array([[1, 2], [3, 4]]),
        ["obs[0,0]", "obs[0,1]", "obs[1,0]", "obs[1,1]"],
        [1, 2, 3, 4],
    ),
    "vector": (BOX, np.array([0.5, -0.5]), ["obs_0", "obs_1"], [0.5, -0.5]),
    "tuple": (
        spaces.Tuple((spaces.Discrete(2), BOX)),
        (1, np.array([0.5, 0.25], np.float32)),
        ["obs[0]=0", "obs[0]=1", "obs[1][0]", "obs[1][1]"],
        [0, 1, 0.5, 0.25],
    ),
    "nested": (
        NESTED,
        {
            "level": 7,
            "pair": (6, np.array([0, 1], np.int8)),
            "robot": {"arm": np.array([0.5, 0.25], np.float32), "grip": 1},
        },
        [
            "level", "pair[0]=5", "pair[0]=6", "pair[1][0]", "pair[1][1]",
            "robot.arm[0]", "robot.arm[1]", "robot.grip=0", "robot.grip=1",
        ],
        [7, 0, 1, 0, 1, 0.5, 0.25, 0, 1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODED)
def test_observations_become_named_numbers(name):
    space, obs, names, numbers = ENCODED[name]
    encode = Encoder(space)
    assert [field.name for field in encode.fields] == names
    found = encode(obs)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(numbers, np.float32))
    for _ in range(20):  # and these are the numbers that Gymnasium itself makes
        sample = space.sample()
        np.testing.assert_array_equal(
            encode(sample), spaces.flatten(space, sample).astype(np.float32)
        )


def test_ranges_are_the_space_s_own():
    fields = Encoder(NESTED).fields
    assert (fields[0].low, fields[0].high) == (0.0, 9.0)
    assert (fields[1].low, fields[1].high) == (0.0, 1.0)
    assert (fields[5].low, fields[5].high) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Sequence(GO), "obs is Sequence"),
        (spaces.Dict({"note": spaces.Text(5)}), "note is Text"),
        (spaces.Box(0, 255, (84, 84, 3), np.uint8), "21,168 numbers; at most 4,096"),
        (spaces.Dict({"a": spaces.Dict({"b": BOX}), "a.b": BOX}), r"called 'a.b\[0\]'"),
    ],
)
def test_what_is_no_vector_is_refused_by_name(space, words):
    with pytest.raises(InputError, match=words):
        Encoder(space)


@pytest.mark.parametrize(
    ("space", "obs", "words"),
    [
        (NESTED, {"level": 1}, r"pair\[0\] is missing"),
        (spaces.Discrete(3), 3, "obs is 3; it should be from 0 to 2"),
        (spaces.Dict({"shelf": spaces.Discrete(3, start=2)}), {"shelf": 1}, "from 2 to 4"),
        (spaces.Discrete(3), 1.5, "whole numbers"),
        (BOX, np.zeros(3), r"obs has shape \(3,\); its space says \(2,\)"),
        (spaces.Dict({"stock": BOX}), {"stock": "many"}, "stock is 'many'"),
    ],
)
def test_an_observation_of_another_space_is_named(monkeypatch, space, obs, words):
    env = batch_of(monkeypatch, Spaces(space, [obs], GO))
    with pytest.raises(FaultyEnvError, match=f"copy 0.*{words}"):
        env.reset([0])


def test_a_batch_of_them_steps(monkeypatch):
    space, obs, names, numbers = ENCODED["nested"]
    env = batch_of(monkeypatch, *(Spaces(space, [obs], GO) for _ in range(2)))
    env.reset([0, 1])
    step = env.step(np.zeros(2, np.int64))
    np.testing.assert_array_equal(step.obs, np.array([numbers, numbers], np.float32))
    assert list(Schema.of(env).observation.names) == names


MASKED = spaces.Dict({"action_mask": spaces.Box(0, 1, (3,), np.int8), "stock": BOX})


def test_a_mask_in_the_observation_is_the_mask_and_no_input(monkeypatch):
    shown = [
        {"action_mask": np.array(m, np.int8), "stock": np.zeros(2)} for m in ([1, 0, 1], [0, 1, 1])
    ]
    env = batch_of(monkeypatch, Spaces(MASKED, shown, spaces.Discrete(3)))
    env.reset([0])
    assert [field.name for field in env.fields] == ["stock[0]", "stock[1]"]
    assert env.action_mask.tolist() == [[True, False, True]]
    assert env.step(np.zeros(1, np.int64)).action_mask.tolist() == [[False, True, True]]


def test_a_method_action_masks_is_asked(monkeypatch):
    class Maskable(Spaces):
        def action_masks(self):
            return [self.place == 0, True]

    inner = Maskable(BOX, [np.zeros(2), np.ones(2)], GO)
    env = batch_of(monkeypatch, gymnasium.wrappers.TimeLimit(inner, 9))
    env.reset([0])
    assert env.action_mask.tolist() == [[True, True]]
    assert env.step(np.zeros(1, np.int64)).action_mask.tolist() == [[False, True]]


class TestActions:
    """Actions of several parts are numbered, and every way of masking them is understood."""

    SPACE = spaces.MultiDiscrete([2, 3])

    @pytest.mark.parametrize(
        ("space", "number", "given"),
        [
            (spaces.MultiDiscrete([2, 3]), 5, [1, 2]),
            (spaces.MultiDiscrete([2, 3], start=[1, 10]), 1, [1, 11]),
            (spaces.MultiDiscrete([[2, 2], [2, 2]]), 6, [[0, 1], [1, 0]]),
            (spaces.MultiBinary(3), 6, [1, 1, 0]),
            (spaces.Discrete(3, start=7), 2, 9),
        ],
    )
    def test_a_number_becomes_its_parts(self, monkeypatch, space, number, given):
        inner = Spaces(BOX, [np.zeros(2)], space)
        env = batch_of(monkeypatch, inner)
        env.reset([0])
        env.step(np.array([number]))
        np.testing.assert_array_equal(inner.given[0], given)
        assert space.contains(inner.given[0]) or space.contains(np.int64(inner.given[0]))

    def test_every_number_is_another_combination(self):
        product = product_of(self.SPACE)
        assert sorted({product.parts(k) for k in range(product.n)}) == [
            (a, b) for a in range(2) for b in range(3)
        ]

    PAIRS = np.array([[0, 0, 0], [1, 0, 1]])  # the second part's middle, and all of the first's 0

    @pytest.mark.parametrize(
        "given",
        [
            PAIRS,
            PAIRS.ravel(),
            np.array([0, 1, 1, 0, 1]),  # sb3-contrib's: part after part
            (np.array([0, 1], np.int8), np.array([1, 0, 1], np.int8)),  # Gymnasium's
        ],
    )
    def test_all_ways_to_mask_them(self, given):
        mask = product_of(self.SPACE).mask(given)
        assert mask.dtype == np.bool_
        assert np.flatnonzero(mask).tolist() == [3, 5]  # (1, 0) and (1, 2)

    def test_what_fits_two_ways_is_read_part_by_part(self):
        mask = product_of(spaces.MultiDiscrete([2, 2])).mask([1, 0, 0, 1])
        assert np.flatnonzero(mask).tolist() == [1]  # (0, 1) alone
        whole = product_of(spaces.MultiDiscrete([2, 2])).mask(np.array([[1, 0], [0, 1]]))
        assert np.flatnonzero(whole).tolist() == [0, 3]

    @pytest.mark.parametrize("given", [[1, 1], np.ones(7), (np.ones(3), np.ones(2)), "all"])
    def test_a_mask_of_another_size_is_refused(self, given):
        with pytest.raises(BadMaskError, match="mask"):
            product_of(self.SPACE).mask(given)

    def test_too_many_combinations_are_refused(self, monkeypatch):
        with pytest.raises(InputError, match=r"test/Own-v0: .*10,000 combinations; at most 4,096"):
            batch_of(monkeypatch, Spaces(BOX, [np.zeros(2)], spaces.MultiDiscrete([10] * 4)))

    def test_the_schema_says_what_the_parts_are(self, monkeypatch):
        env = batch_of(monkeypatch, Spaces(BOX, [np.zeros(2)], self.SPACE))
        action = Schema.of(env).action
        assert (action.kind, action.n, action.factors) == ("discrete", 6, (2, 3))


class TestNames:
    """An environment says what its numbers are called, and wrappers around it don't hide it."""

    def env(self, **said):
        inner = Spaces(BOX, [np.zeros(2)], GO)
        for name, value in said.items():
            setattr(inner, name, value)
        return gymnasium.wrappers.TimeLimit(inner, 9)

    def test_by_name(self):
        adapted = Adapter(self.env(field_names=["stock", "price"]))
        assert [f.name for f in adapted.observation_fields] == ["stock", "price"]
        assert adapted.observation_fields[0].low == -1.0

    def test_with_units(self):
        fields = (Field("stock", "boxes", 0, 50, 50, "boxes on the shelf"),) * 1
        fields += (Field("price", "EUR", 0, 9, 9, "of a box"),)
        adapted = Adapter(self.env(observation_fields=fields))
        assert adapted.observation_fields == fields
        assert adapted.observation_space.high.tolist() == [50.0, 9.0]

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ({"field_names": ["stock"]}, "field_names holds 1 names .* has 2 numbers"),
            ({"field_names": ["stock", "stock"]}, "field_names holds a name twice"),
            ({"field_names": "stock"}, "should be a tuple of names"),
            ({"kpi_names": ["profit", 3]}, "kpi_names is .* tuple of names"),
            ({"observation_fields": ["stock", "price"]}, "should hold compagnon.envs.Field alone"),
        ],
    )
    def test_names_that_do_not_fit_are_refused(self, said, words):
        with pytest.raises(InputError, match=words):
            Adapter(self.env(**said))


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Blackjack-v1", "Taxi-v4"])
def test_gymnasium_s_own_tables_and_tuples_are_played(env_id):
    if env_id not in gymnasium.registry:
        env_id = "Taxi-v3"
    env = BatchEnv(env_id, {}, 2)
    env.reset([0, 1])
    for _ in range(5):
        assert env.step(env.action_mask.argmax(axis=1)).obs.shape == (2, len(env.fields))
