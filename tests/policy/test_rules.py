"""A rule of somebody's own is named by its file or module, and what is wrong with it is said."""

import sys
import textwrap

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import StochasticPolicy, load_policy
from tests.policy.networks import schema_of

RULES = """
    import numpy as np

    class Left:
        def act(self, obs, action_mask):
            return np.zeros(len(obs), int)

    class Toward:
        '''Pushes to where the pole falls; knows its column by name.'''

        def __init__(self, schema, argument):
            self.column = schema.observation.names.index("obs_2")
            self.margin = float(argument or 0)

        def act(self, obs, action_mask=None, rng=None):
            return (obs[:, self.column] > self.margin).astype(int)

    class Even(Left):
        def probabilities(self, obs, action_mask=None):
            return np.full((len(obs), 2), 0.5)

    class Short:
        def act(self, obs):
            return [0]

    class Far(Left):
        def act(self, obs, action_mask):
            return np.full(len(obs), 2)

    class Broken(Left):
        def act(self, obs, action_mask):
            return obs / {}

    class Unmade:
        def __init__(self, schema):
            raise KeyError("stock")

    class Idle:
        pass

    number = 3
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "own_rules.py").write_text(textwrap.dedent(RULES))
    yield "own_rules.py"
    sys.modules.pop("own_rules", None)


def loaded(name):
    return load_policy(f"expert:{name}", schema_of("CartPole-v1"))


@pytest.mark.parametrize("where", ["own_rules.py", "own_rules", "{}/own_rules.py"])
def test_a_rule_is_played_from_a_file_and_from_a_module(rules, tmp_path, where):
    policy = loaded(f"{where.format(tmp_path)}:Toward")
    assert policy.name == f"expert:{where.format(tmp_path)}:Toward"
    obs = np.array([[0, 0, -0.1, 0], [0, 0, 0.1, 0]], np.float32)
    actions = policy.act(obs, np.ones((2, 2), np.bool_))
    assert actions.tolist() == [0, 1]
    assert actions.dtype == np.int64
    assert play_episodes("CartPole-v1", {}, policy, [1, 2]).lengths.min() > 5


def test_an_argument_arrives(rules):
    obs = np.array([[0, 0, 0.1, 0]], np.float32)
    assert loaded(f"{rules}:Toward:0.05").act(obs).tolist() == [1]
    assert loaded(f"{rules}:Toward:0.5").act(obs).tolist() == [0]
    with pytest.raises(InputError, match=r"own_rules.py:Left:7: it takes no argument"):
        loaded(f"{rules}:Left:7")


def test_a_rule_that_knows_its_probabilities_says_them(rules):
    assert isinstance(loaded(f"{rules}:Even"), StochasticPolicy)
    assert not isinstance(loaded(f"{rules}:Left"), StochasticPolicy)
    assert loaded(f"{rules}:Even").probabilities(np.zeros((3, 4))).tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_rules.py:Lft", "own_rules.py has no class 'Lft'; did you mean Left"),
        ("own_rules.py", "name the class too, such as expert:own_rules.py:OneByOne"),
        ("none.py:Left", "there is no file none.py"),
        ("own_rules.py:Idle", r"Idle has no method act\(obs, action_mask\)"),
        ("own_rules.py:number", "it is 3, and should be a class"),
        ("own_rules.py:Unmade", "it cannot be made: KeyError: 'stock' .*own_rules.py, line"),
        ("no.such.module:Left", "there is no module 'no.such.module'"),
        ("nothing_like_it:Left", "no expert is called 'nothing_like_it'"),
    ],
)
def test_what_is_no_rule_is_said(rules, name, words):
    with pytest.raises(InputError, match=words):
        loaded(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Short", r"expert:own_rules.py:Short: act\(\) gave \[0\]; for 2 .* 2 whole numbers"),
        ("Far", r"expert:own_rules.py:Far: act\(\) chose action 2 in row 0; there are 0 to 1"),
        ("Broken", r"expert:own_rules.py:Broken: its act\(\) failed: TypeError.*line \d+"),
    ],
)
def test_what_a_rule_must_not_do_is_said(rules, name, words):
    with pytest.raises(InputError, match=words):
        loaded(f"{rules}:{name}").act(np.zeros((2, 4), np.float32), None)


def test_a_file_that_fails_says_where(rules, tmp_path):
    (tmp_path / "bad.py").write_text("x = 1\ny = x.z\n")
    with pytest.raises(InputError, match=r"bad.py cannot be imported: AttributeError.*line 2"):
        loaded("bad.py:Left")
