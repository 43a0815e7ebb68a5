"""Spaces: what may be searched, how a draw becomes a setting, and what is refused at the start."""

import math
import tomllib
from importlib.resources import files

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.rl.recipe import load_recipe
from compagnon.rl.registry import settings_by_kind
from compagnon.tuning.space import ChoiceRange, FloatRange, IntRange, load_space, parse_space
from tests.tuning.small import RANGES, SPACE, bandit

SETTINGS = settings_by_kind()

RECIPES = {
    "dqn": "mountaincar-dqn",
    "ppo": "cartpole-ppo",
    "ddpg": "pendulum-ddpg",
    "dagger": "workshop-clone",
    "hybrid": "workshop-tight",
    "expert_iteration": "dispatch-clinic",
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_space_ships_for_each_algorithm_and_fits_its_recipes(kind):
    space = load_space(load_recipe(RECIPES[kind]))
    assert len(space.ranges) >= 4
    assert "network.hidden" in space.ranges


def test_the_published_ranges_are_in_the_space_of_dqn():
    space = load_space(load_recipe("mountaincar-dqn")).ranges
    rate, gamma = space["algorithm.learning_rate"], space["algorithm.gamma"]
    assert (rate.low, rate.high, rate.log) == (1e-5, 1e-2, True)
    assert (gamma.low, gamma.high, gamma.log, gamma.complement) == (0.95, 0.999, True, True)
    assert space["algorithm.batch_size"].values == (32, 64, 128)
    assert space["network.hidden"].values == ([128, 128], [256, 256], [512, 512])


def test_a_discount_is_drawn_as_its_complement_on_a_logarithm():
    gamma = FloatRange(kind="float", low=0.95, high=0.999, log=True, complement=True)
    assert gamma.searched == (0.001, 0.05)
    assert gamma.value(0.001) == 0.999
    assert gamma.value(0.05) == 0.95
    assert gamma.value(0.01) == 0.99
    space = parse_space({"algorithm.gamma": gamma.model_dump()}, bandit(), "a test")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = []
    for _ in range(200):
        trial = study.ask()
        found.append(space.suggest(trial)["algorithm.gamma"])
        assert list(trial.params) == ["1 - algorithm.gamma"]
        study.tell(trial, 0.0)
    below = sum(1 - value < math.sqrt(0.001 * 0.05) for value in found)
    assert 70 < below < 130  # half of the draws lie on either side of the geometric mean


@given(
    st.floats(1e-6, 1e3),
    st.floats(1.001, 1e3),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_value_is_within_its_range_and_short_enough_to_read(low, factor, share, log):
    one = FloatRange(kind="float", low=low, high=low * factor, log=log)
    value = one.value(low + share * (low * factor - low))
    assert one.low <= value <= one.high
    assert value in (one.low, one.high) or float(f"{value:.6g}") == value


def test_changes_are_what_the_parameters_stand_for():
    space = parse_space({**RANGES, "network.hidden": {"kind": "choice", "values": [[8], [16, 4]]}},
                        bandit(), "a test")  # fmt: skip
    params = {
        "algorithm.learning_rate": 0.0123456789,
        "algorithm.batch_size": "16",
        "network.hidden": "[16, 4]",
    }
    expected = {
        "algorithm.learning_rate": 0.0123457,
        "algorithm.batch_size": 16,
        "network.hidden": [16, 4],
    }
    assert space.changes(params) == expected
    assert space.changes({"algorithm.batch_size": "8"}) == {"algorithm.batch_size": 8}
    assert IntRange(kind="int", low=1, high=9, log=True).value(3) == 3
    assert ChoiceRange(kind="choice", values=(False, True)).value("true") is True


def test_keys_in_quotes_and_tables_say_the_same(tmp_path):
    quoted = SPACE.replace("[algorithm.learning_rate]", '["algorithm.learning_rate"]')
    assert quoted != SPACE
    spaces = [
        parse_space(tomllib.loads(text), bandit(), "a test").as_json() for text in (SPACE, quoted)
    ]
    assert spaces[0] == spaces[1]
    assert list(spaces[0]) == list(RANGES)


FLOAT = {"kind": "float", "low": 0.1, "high": 0.2}


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "needs a range"),
        ({"env.args.demand": FLOAT}, "the environment is the task"),
        ({"env.id": FLOAT}, "the environment is the task"),
        ({"evaluation.episodes": FLOAT}, "evaluation.episodes cannot be searched"),
        ({"budget.minutes": FLOAT}, "budget.minutes cannot be searched"),
        ({"seed": FLOAT}, "seed cannot be searched"),
        ({"name": FLOAT}, "name cannot be searched"),
        ({"algorithm": FLOAT}, "algorithm cannot be searched"),
        ({"algorithm.kind": {"kind": "choice", "values": ["dqn", "ppo"]}}, "algorithm.kind"),
        ({"algorithm.lerning_rate": FLOAT}, "did you mean learning_rate"),
        ({"algorithm.clip_coef": FLOAT}, "it is one of ppo"),
        ({"algorithm.gamma": {**FLOAT, "high": 1.5}}, "algorithm.gamma = 1.5 makes no recipe"),
        ({"algorithm.gamma": {**FLOAT, "low": 0.0}}, "algorithm.gamma = 0.0 makes no recipe"),
        ({"algorithm.batch_size": {"kind": "choice", "values": [8, 0]}}, "batch_size = 0"),
        ({"algorithm.batch_size": {"kind": "int", "low": 0, "high": 9}}, "batch_size = 0"),
        ({"algorithm.batch_size": FLOAT}, "batch_size = 0.1 makes no recipe"),
        ({"network.hidden": {"kind": "choice", "values": [[8], [0]]}}, "[0] makes no recipe"),
        ({"algorithm.gamma": {**FLOAT, "low": 0.3}}, "low = 0.3 must be below high = 0.2"),
        ({"algorithm.tau": {**FLOAT, "low": 0, "log": True}}, "a logarithm needs low"),
        (
            {"algorithm.tau": {**FLOAT, "high": 1, "log": True, "complement": True}},
            "1 - high = 0 above 0",
        ),
        ({"algorithm.double": {"kind": "choice", "values": [True]}}, "give two or more"),
        ({"algorithm.double": {"kind": "choice", "values": [1, 1]}}, "each once"),
        ({"algorithm.tau": {**FLOAT, "kind": "real"}}, 'kind = "float", "int" or "choice"'),
        ({"algorithm.tau": {"low": 0.1, "high": 0.2}}, 'kind = "float", "int" or "choice"'),
        ({"algorithm.tau": {**FLOAT, "step": 1}}, "algorithm.tau.step: this kind of range has"),
        ({"algorithm.tau": {"kind": "float", "low": 0.1}}, "algorithm.tau.high"),
        ({"algorithm.tau": 3}, "algorithm.tau"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_starts(tree, said):
    with pytest.raises(InputError) as caught:
        parse_space(tree, bandit(), "mine.toml")
    assert str(caught.value).startswith("mine.toml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_space_is_refused(tmp_path):
    path = tmp_path / "space.toml"
    with pytest.raises(InputError, match="cannot be read"):
        load_space(bandit(), path)
    path.write_text("[algorithm")
    with pytest.raises(InputError, match="not TOML"):
        load_space(bandit(), path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        load_space(bandit(), path)
    path.write_text(SPACE)
    assert list(load_space(bandit(), path)) == list(RANGES)


def test_every_space_that_ships_belongs_to_an_algorithm():
    names = {entry.name for entry in files("compagnon.tuning").joinpath("spaces").iterdir()}
    assert names == {f"{kind}.toml" for kind in SETTINGS}
