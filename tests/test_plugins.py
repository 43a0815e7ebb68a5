"""Worlds are found by entry points; a broken package is named, and two claims are refused."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import gymnasium
import pytest

from compagnon import plugins
from compagnon.cli import main
from compagnon.envs import finding
from compagnon.envs.making import is_compiled
from compagnon.errors import InputError
from compagnon.policy import loading
from compagnon.worlds import World, find_world, worlds
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.registry import usual_env, usual_expert
from compagnon.worlds.workshop import WORKSHOP


class Shop(World):
    name = "shop"
    env_ids = ("shop/Shop-v0",)

    def register(self):
        gymnasium.register("shop/Shop-v0", entry_point="tests.envs.own:Clock")

    def experts(self):
        return {"shop-idle": "tests.test_plugins:idle"}


class SecondShop(World):
    name = "second"
    env_ids = ("shop/Other-v0", WORKSHOP)


class Unregistrable(World):
    name = "unregistrable"
    env_ids = ("shop/Never-v0",)

    def register(self):
        raise RuntimeError("no licence")


SHOP, SECOND, UNREGISTRABLE = Shop(), SecondShop(), Unregistrable()
PAIR = (SHOP, UNREGISTRABLE)


def idle(schema, argument):
    return "idle"


def forget():
    plugins.forget()
    finding.load_plugins.cache_clear()


@pytest.fixture
def bring(monkeypatch):
    """Adds entry points to those that are installed."""
    installed = plugins.entry_points

    def add(**values):
        more = [EntryPoint(name, value, plugins.WORLDS_GROUP) for name, value in values.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: [*installed(group=group), *more])
        forget()

    yield add
    monkeypatch.undo()
    forget()
    for env_id in ("shop/Shop-v0",):
        gymnasium.registry.pop(env_id, None)


def test_ours_come_by_entry_points_like_anybodys():
    names = {world.name for world in worlds()}
    assert {"workshop", "dispatch", "dispatch-poc", "ball", "discrete-pendulum"} <= names
    assert find_world(WORKSHOP).name == "workshop"
    assert find_world(f"some.module:{WORKSHOP}").name == "workshop"


def test_an_environment_of_no_world_has_no_parts():
    world = find_world("shop/Shop-v0")
    assert world.env_ids == ("shop/Shop-v0",)
    assert not world.experts()
    assert world.pair_names() is None
    assert world.episode_units is None


def test_a_world_of_another_package_is_found_with_its_environment_and_experts(bring):
    bring(shop="tests.test_plugins:SHOP")
    assert find_world("shop/Shop-v0") is SHOP
    assert finding.find_env("shop/Shop-v0").id == "shop/Shop-v0"
    assert loading.expert_points()["shop-idle"].load()(None, None) == "idle"


def test_an_entry_point_may_bring_several_worlds(bring):
    bring(pair="tests.test_plugins:PAIR")
    assert find_world("shop/Shop-v0") is SHOP
    assert find_world("shop/Never-v0") is UNREGISTRABLE


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no_such_package:WORLD", "ModuleNotFoundError"),
        ("tests.test_plugins:NO_SUCH_NAME", "AttributeError"),
        ("tests.test_plugins:idle", "has no attribute 'name'"),
    ],
)
def test_a_broken_package_is_named_and_the_others_are_found(bring, value, words):
    bring(bad=value, shop="tests.test_plugins:SHOP")
    with pytest.warns(UserWarning, match=f"entry point bad = {value}.*{words}"):
        assert find_world("shop/Shop-v0") is SHOP
    assert find_world(WORKSHOP).name == "workshop"


def test_a_world_that_cannot_register_is_named_and_the_others_are_registered(bring):
    bring(pair="tests.test_plugins:PAIR")
    with pytest.warns(UserWarning, match="world unregistrable .*RuntimeError: no licence"):
        assert finding.find_env("shop/Shop-v0").id == "shop/Shop-v0"


def test_two_worlds_that_claim_one_id_are_both_named(bring):
    bring(second="tests.test_plugins:SECOND")
    with pytest.raises(InputError, match=f"two worlds claim {WORKSHOP}: workshop .* and second "):
        find_world(WORKSHOP)


def test_worlds_are_looked_at_without_what_only_their_parts_need():
    code = (
        "import sys, compagnon\n"
        "from compagnon.worlds import find_world, worlds\n"
        "from compagnon.policy.loading import expert_points\n"
        "found = [w.name for w in worlds()], expert_points(), [w.recipes() for w in worlds()]\n"
        "heavy = 'numba', 'torch', 'scipy', 'PIL', 'tyro', 'msgspec'\n"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


class Compiled(World):
    name = "compiled"
    env_ids = ("shop/Fast-v0",)
    compiled = True


FAST = Compiled()


def test_whether_copies_step_together_is_said_by_the_world(bring):
    bring(fast="tests.test_plugins:FAST", shop="tests.test_plugins:SHOP")
    assert is_compiled("shop/Fast-v0")
    assert is_compiled(WORKSHOP)
    assert not is_compiled("shop/Shop-v0")
    assert not is_compiled("CartPole-v1")


def test_the_list_of_environments_holds_those_of_other_packages(bring, capsys):
    bring(shop="tests.test_plugins:SHOP")
    assert main(["envs"]) == 0
    said = capsys.readouterr().out
    assert "shop/Shop-v0" in said
    assert WORKSHOP in said
    assert "CartPole" not in said


def test_without_any_entry_point_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    forget()
    try:
        with pytest.raises(InputError, match=r"no world is installed: .* pip install -e"):
            usual_env()
    finally:
        monkeypatch.undo()
        forget()


@pytest.mark.parametrize(
    ("policies", "env_id"),
    [
        (("random", "expert:dispatch-matching", "expert:workshop-v2"), DISPATCH),
        (("expert:workshop-base-stock:levels.json",), WORKSHOP),
        (("random", "expert:rules.py:Mine", "runs/demo"), WORKSHOP),
        ((), WORKSHOP),
    ],
)
def test_the_first_expert_of_a_world_says_where_it_is_played(policies, env_id):
    assert usual_env(policies) == env_id


def test_whom_to_imitate_where_nobody_is_named():
    assert usual_expert(WORKSHOP) == "expert:workshop-v2"
    with pytest.raises(InputError, match="the world of CartPole-v1 brings none of its own"):
        usual_expert("CartPole-v1")
