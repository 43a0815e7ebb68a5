"""An environment is found wherever the package that registers it stands."""

import sys
import textwrap
from importlib.metadata import EntryPoint

import gymnasium
import pytest

from compagnon.envs import BatchEnv, finding, make
from compagnon.errors import InputError

SHOP = """
    import gymnasium
    from tests.envs.own import Clock

    gymnasium.register("{name}/Clock-v0", entry_point=Clock)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the folder that the program was started in; forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    known = set(gymnasium.registry)

    def write(name: str, text: str = SHOP) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text.format(name=name)))
        return name

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)
    for env_id in set(gymnasium.registry) - known:
        del gymnasium.registry[env_id]


def test_a_module_of_this_folder_is_found_by_name(module):
    name = module("own_shop_a")
    assert BatchEnv(f"{name}:{name}/Clock-v0", {"limit": 3}, 2).num_envs == 2
    assert make(f"{name}:{name}/Clock-v0").spec.id == f"{name}/Clock-v0"


@pytest.mark.parametrize(
    ("text", "env_id", "words"),
    [
        (SHOP, "own_shop_b:own_shop_b/Clok-v0", "did you mean own_shop_b/Clock-v0"),
        (SHOP, "own_shop_b:Zzzzzz-v0", "the module 'own_shop_b' does not register it"),
        (SHOP, "own_shop_c:own_shop_b/Clock-v0", "there is no module 'own_shop_c'"),
        ("import no_such_thing", "own_shop_b:A-v0", "'own_shop_b' needs 'no_such_thing'"),
        ("1 / 0", "own_shop_b:A-v0", "cannot be imported: ZeroDivisionError.*line 1"),
        ("def (", "own_shop_b:A-v0", "cannot be imported: SyntaxError.*line 1"),
        (SHOP, "own shop:A-v0", "'own shop' is no name of a Python module"),
    ],
)
def test_what_is_wrong_with_a_module_is_said(module, text, env_id, words):
    module("own_shop_b", text)
    with pytest.raises(InputError, match=f"no environment is called '{env_id}'.*{words}"):
        make(env_id)


def test_an_id_of_an_unknown_module_says_how_to_name_it():
    with pytest.raises(InputError, match="name the module too: MODULE:zzq/Qqqqqq-v0"):
        make("zzq/Qqqqqq-v0")


@pytest.fixture
def plugins(monkeypatch):
    def use(*points: tuple[str, str]) -> None:
        found = [EntryPoint(name, value, finding.ENVS_GROUP) for name, value in points]
        monkeypatch.setattr(finding, "entry_points", lambda group: found)
        finding.load_plugins.cache_clear()

    yield use
    finding.load_plugins.cache_clear()


PLUGIN = """
    import gymnasium

    def register():
        gymnasium.register("Clock-v0", entry_point="tests.envs.own:Clock")
"""


def test_entry_points_register_in_their_own_namespace(module, plugins):
    module("own_plugin", PLUGIN)
    sys.path.append(".")
    plugins(("ownspace", "own_plugin:register"))
    assert make("ownspace/Clock-v0").spec.id == "ownspace/Clock-v0"


def test_a_broken_entry_point_is_named_and_the_others_are_seen(module, plugins):
    module("own_plugin", PLUGIN)
    sys.path.append(".")
    plugins(("bad", "no_such_module_at_all:register"), ("ownspace", "own_plugin:register"))
    with pytest.warns(UserWarning, match=r"no_such_module_at_all:register \(entry point bad\)"):
        assert make("ownspace/Clock-v0").spec.id == "ownspace/Clock-v0"
