"""Each setting says for itself whether a run that is resumed may have another value of it."""

from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from pydantic.fields import FieldInfo

from compagnon.errors import InputError
from compagnon.rl.recipe import Recipe, change_recipe, load_recipe, parse_recipe
from compagnon.rl.registry import settings_by_kind
from compagnon.rl.settings import Settings, forbidden_changes, may_change

SETTINGS = settings_by_kind()


def settings_of(model: type[Settings]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            yield from ((f"{name}.{key}", each) for key, each in settings_of(kind))
        elif model is not Recipe or name != "algorithm":
            yield name, field


EVERY = [
    *((f"recipe.{name}", field) for name, field in settings_of(Recipe)),
    *(
        (f"{kind}.{name}", field)
        for kind, model in SETTINGS.items()
        for name, field in settings_of(model)
    ),
]


@pytest.mark.parametrize(("name", "field"), EVERY, ids=[name for name, _ in EVERY])
def test_every_setting_says_whether_it_may_change(name, field):
    assert may_change(field) is not None, name


def test_a_setting_that_says_nothing_may_not_change():
    class Silent(Settings):
        some: int = 1

    assert list(forbidden_changes(Silent(), Silent(some=2))) == [("some", 1, 2)]


# What a checkpoint holds was made with these: arrays, rewards in the replay, labels, priorities.
MUST_STAY = {
    "dqn": (
        "num_envs", "capacity", "n_step", "gamma", "reward_scale", "prioritised", "alpha",
        "dueling",
    ),
    "ddpg": (
        "num_envs", "capacity", "n_step", "gamma", "reward_scale", "version", "norm", "squash",
        "twin_critics", "critic_hidden", "critic_state_hidden", "critic_action_hidden",
        "exploration", "parameter_std",
    ),
    "ppo": ("num_envs", "networks", "std", "initial_std", "reward_scale", "scale_values"),
    "dagger": ("capacity", "expert", "hold_out"),
    "hybrid": ("mode", "ppo_per_dagger", "clone_temperature"),
    "expert_iteration": ("rounds", "practice", "clone_temperature"),
}  # fmt: skip
MAY_CHANGE = {
    "dqn": ("learning_rate", "final_learning_rate", "batch_size", "tau", "epsilon_end", "beta"),
    "ddpg": ("actor_learning_rate", "tau", "noise_std", "updates", "batch_size"),
    "ppo": ("learning_rate", "clip_coef", "entropy_coef", "gamma", "rollout_steps", "epochs"),
    "dagger": ("learning_rate", "gradient_steps", "balance", "iterations"),
    "hybrid": (),
    "expert_iteration": ("looks", "futures", "kl_coef", "learning_rate", "gradient_steps"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_a_checkpoint_holds_was_made_with_stays(kind):
    fields = SETTINGS[kind].model_fields
    assert [name for name in MUST_STAY[kind] if may_change(fields[name])] == []
    assert [name for name in MAY_CHANGE[kind] if not may_change(fields[name])] == []


def recipe(**changes: Any) -> Recipe:
    tree = {
        "name": "it",
        "env": {"id": "CartPole-v1"},
        "algorithm": {"kind": "hybrid", "ppo": {"num_envs": 4}},
        "budget": {"iterations": 3},
    }
    return parse_recipe({**tree, **changes}, "a test")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"env": {"id": "CartPole-v1", "args": {"max_episode_steps": 9}}}, "env.args"),
        ({"network": {"hidden": [3]}}, "network.hidden"),
        ({"algorithm": {"kind": "hybrid", "ppo": {"num_envs": 5}}}, "algorithm.ppo.num_envs"),
        (
            {"algorithm": {"kind": "hybrid", "dagger": {"expert": "random"}}},
            "algorithm.dagger.expert",
        ),
        ({"algorithm": {"kind": "ppo", "num_envs": 4}}, "algorithm.kind"),
        ({"evaluation": {"seed": 7}}, "evaluation.seed"),
        ({"seed": 1}, "seed"),
    ],
)
def test_a_change_that_may_not_be_is_named(changes, key):
    assert key in [name for name, _, _ in forbidden_changes(recipe(), recipe(**changes))]


def test_a_change_that_may_be_is_let_through():
    other = recipe(
        algorithm={"kind": "hybrid", "ppo": {"num_envs": 4, "learning_rate": 1e-5}},
        budget={"iterations": 9},
        threads=1,
        evaluation={"every": 3},
    )
    assert list(forbidden_changes(recipe(), other)) == []
    assert list(forbidden_changes(recipe(), recipe())) == []


# -- old names ----------------------------------------------------------------------------------

OLD = {
    "name": "old",
    "env": {"id": "Pendulum-v1"},
    "budget": {"iterations": 1},
    "algorithm": {"kind": "ppo", "sd": "fixed", "initial_sd": 0.3},
}


def test_what_was_written_with_an_old_name_is_read_as_before(tmp_path):
    ppo = parse_recipe(OLD, "a test").algorithm
    assert (ppo.std, ppo.initial_std) == ("fixed", 0.3)
    path = tmp_path / "old.toml"
    path.write_text(tomli_w.dumps(OLD))
    for key in ("algorithm.sd", "algorithm.std"):
        changed = load_recipe(str(path), {key: "by_state"}).algorithm
        assert (changed.std, changed.initial_std) == ("by_state", 0.3)
    assert change_recipe(parse_recipe(OLD, "it"), {"algo.sd": "learnt"}, "it").algorithm.std == (
        "learnt"
    )
    hybrid = {**OLD, "algorithm": {"kind": "hybrid", "ppo": {"initial_sd": 0.3}}}
    changed = change_recipe(parse_recipe(hybrid, "it"), {"algorithm.ppo.initial_sd": 0.4}, "it")
    assert changed.algorithm.ppo.initial_std == 0.4


def test_an_old_name_and_the_new_one_at_once_are_refused():
    with pytest.raises(InputError, match=r"sd: is called std now, which is given too"):
        parse_recipe({**OLD, "algorithm": {**OLD["algorithm"], "std": "learnt"}}, "a test")
