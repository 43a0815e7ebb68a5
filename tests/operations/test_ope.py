"""From a log to what another policy is worth: right where it is known, else refused."""

import json

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.policy import save_policy
from compagnon.policy.action_selection import Play, played
from compagnon.policy.network import network_policy
from compagnon.store import outcomes, overrides
from tests.policy.networks import network, schema_of
from tests.store.rows import row

START = 1_700_000_000.0
SCHEMA = schema_of("CartPole-v1")
COUNT = 1500
SAMPLED = Play("sampled")


def another(policy, scale):
    weights = {
        name: array * np.float32(scale if name.startswith("actor.1") else 1.0)
        for name, array in policy.weights.items()
    }
    return network_policy(policy.manifest.model_copy(update={"name": "other"}), weights)


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    """The one that decided, and one that likes the same actions less."""
    folder = tmp_path_factory.mktemp("policies")
    first = network(SCHEMA, (8,), 0.5)
    second = another(first, -0.5)
    save_policy(first, folder / "first")
    save_policy(second, folder / "second")
    return folder, first, second


def contexts(seed, count=COUNT):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(count, 4)).astype(np.float32)
    return obs, np.ones((count, 2), np.bool_), rng


def worth(obs, action):
    """What action earns: the second one by the first field, and 1 more."""
    return np.where(action == 1, 1.0 + obs[:, 0], 0.5 + obs[:, 2])


def value_of(policy, obs, mask, play):
    made = played(policy.say(obs, mask), mask, play, [0] * len(obs))
    p = np.stack([one.probabilities for one in made])
    return float((p * np.stack([worth(obs, 0), worth(obs, 1)], axis=1)).sum(axis=1).mean())


def fill(store, policy, seed=0, play=SAMPLED, logged=None, **changes):
    """Decisions of `policy`, drawn from what it says, with their outcomes."""
    obs, mask, rng = contexts(seed)
    made = played(policy.say(obs, mask), mask, play, rng.integers(2**62, size=COUNT).tolist())
    rows = []
    for k, one in enumerate(made):
        p = one.probabilities if logged is None else logged(one)
        rows.append(
            row(
                k, time=START + k, features=obs[k].tobytes(), action=one.action,
                mask=np.packbits(mask[k]).tobytes(), probabilities=p.astype("<f8").tobytes(),
                probability=float(p[one.action]), mode=one.mode, key=f"customer-{k}",
                schema_sha256=SCHEMA.sha256(), **changes,
            )
        )  # fmt: skip
    store.append(rows)
    outcomes.define(store, "profit", 3600.0)
    earned = worth(obs, np.array([one.action for one in made]))
    given = [(one.id, "profit", float(amount)) for one, amount in zip(rows, earned, strict=True)]
    outcomes.put_many(store, given, START + 1)
    return obs, mask


def frozen(store, folder):
    out = folder / "slice"
    words = ["--outcomes", "profit=1", "--application", "shop", "--out", str(out)]
    assert main(["slices", "freeze", *words, "--db", store.address]) == 0
    return out


def ask(policies, log, tmp_path, *words, code=0):
    folder = policies[0]
    out = tmp_path / "found.json"
    told = ["--policy", str(folder / "second"), "--log", str(log), "--json", str(out), "--force"]
    assert main(["ope", *told, *words]) == code
    return json.loads(out.read_text())


@pytest.mark.parametrize("play", ["sampled", "greedy"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_known_value_is_within_the_interval(store, policies, tmp_path, capsys, play, seed):
    folder, first, second = policies
    obs, mask = fill(store, first, seed)
    log = frozen(store, tmp_path)
    found = ask(policies, log, tmp_path, "--play", play, "--against", str(folder / "first"))
    wanted = value_of(second, obs, mask, Play(play))
    less = value_of(first, obs, mask, Play(play))
    assert abs(wanted - less) > 0.02
    for one in found["estimates"]:
        assert one["evaluable"]
        assert abs(one["value"] - wanted) < 4 * (one["high"] - one["low"]) / 3.92
    for one in found["differences"]:
        assert abs(one["value"] - (wanted - less)) < 4 * (one["high"] - one["low"]) / 3.92
    assert [one["name"] for one in found["estimates"]] == ["ips", "snips", "dr", "switch-dr"]
    assert found["logged"]["low"] < value_of(first, obs, mask, Play("sampled"))
    said = capsys.readouterr().out
    assert "1,500 decisions in 1,500 episodes of 1,500 units" in said
    assert "tests of the log passed" in said


def test_greedy_logged_as_certain_is_refused_with_the_figure(store, policies, tmp_path, capsys):
    def certain(one):
        p = np.zeros(2)
        p[one.probabilities.argmax()] = 1.0
        return 0.999 * p + 0.0005  # else an action that had no chance would give it away

    fill(store, policies[1], logged=certain)
    log = frozen(store, tmp_path)
    capsys.readouterr()
    assert main(["ope", "--policy", str(policies[0] / "second"), "--log", str(log)]) == 2
    said = capsys.readouterr().err
    assert "the log is refused" in said
    assert "the likeliest action was taken" in said


def test_a_log_without_chance_says_that_nothing_can_be_told(store, policies, tmp_path, capsys):
    fill(store, policies[1], play=Play("greedy"))
    log = frozen(store, tmp_path)
    found = ask(policies, log, tmp_path, code=1)
    assert not any(one["evaluable"] for one in found["estimates"])
    assert all(one["why"] for one in found["estimates"])
    assert "support" in capsys.readouterr().out


def test_what_people_replaced_and_what_is_missing_is_left_out(store, policies, tmp_path):
    fill(store, policies[1])
    for k in (3, 4):
        action = 1 - row_action(store, k)
        overrides.put(store, row(k).id, "overridden", action=action, reason="why")
    overrides.put(store, row(5).id, "accepted")
    half = np.full(2, 0.5).tobytes()
    lost = row(9000, time=START + 5, features=np.zeros(4, "<f4").tobytes(), action=0)
    both = np.packbits([True, True]).tobytes()
    lost = lost._replace(mask=both, probabilities=half, probability=0.5)
    store.append([lost._replace(schema_sha256=SCHEMA.sha256())])
    found = ask(policies, frozen(store, tmp_path), tmp_path, "--play", "sampled")
    assert (found["overridden"], found["missing"]) == (2, 1)
    assert found["decisions"] == COUNT - 2


def row_action(store, number):
    from compagnon.store.log import find

    return find(store, row(number).id).action


def test_decisions_of_one_episode_are_estimated_in_their_order(store, policies, tmp_path):
    _, first, _ = policies
    obs, mask, rng = contexts(0)
    said = first.say(obs, mask)
    made = played(said, mask, Play("sampled"), rng.integers(2**62, size=COUNT).tolist())
    rows = [
        row(
            k, time=START + k, features=obs[k].tobytes(), action=one.action, episode=f"e{k // 3}",
            mask=np.packbits(mask[k]).tobytes(), probabilities=one.probabilities.tobytes(),
            probability=float(one.probabilities[one.action]), schema_sha256=SCHEMA.sha256(),
        )
        for k, one in enumerate(made)
    ]  # fmt: skip
    store.append(rows)
    outcomes.define(store, "profit", 3600.0)
    earned = worth(obs, np.array([one.action for one in made]))
    given = [(one.id, "profit", float(x)) for one, x in zip(rows, earned, strict=True)]
    outcomes.put_many(store, given, START + 1)
    found = ask(policies, frozen(store, tmp_path), tmp_path, "--play", "sampled")
    assert (found["episodes"], found["units"]) == (500, 500)
    wanted = 3 * value_of(policies[2], obs, mask, Play("sampled"))
    for one in found["estimates"]:
        if one["name"] in ("pdis", "snpdis", "wdr"):
            assert abs(one["value"] - wanted) < 4 * (one["high"] - one["low"]) / 3.92
    assert {"pdis", "snpdis", "wdr", "fqe"} <= {one["name"] for one in found["estimates"]}


def test_an_outcome_too_large_to_reckon_with_is_named(store, policies, tmp_path, capsys):
    fill(store, policies[1])
    outcomes.define(store, "wild", 3600.0)
    outcomes.put(store, row(7).id, "wild", 1e308, START + 8)
    out = tmp_path / "slice"
    words = ["--outcomes", "profit=1", "wild=1", "--zero", "wild", "--application", "shop"]
    assert main(["slices", "freeze", *words, "--out", str(out), "--db", store.address]) == 0
    capsys.readouterr()
    assert main(["ope", "--policy", str(policies[0] / "second"), "--log", str(out)]) == 2
    assert "the reward of decision decision-000007 is 1e+308" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "constant:0"], "a rule does not say what the logged decisions read"),
        (["--policy", "SHOP"], "it reads or chooses something else"),
        (["--policy", "FIRST", "--gamma", "0"], "--gamma 0: give a number above 0"),
        (["--policy", "FIRST", "--explore", "2"], "--explore 2: give a number from 0 to 1"),
        (["--policy", "FIRST", "--outcomes", "late=1"], "late was not collected"),
        (["--policy", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(store, policies, tmp_path, capsys, words, said):
    folder, first, _ = policies
    fill(store, first)
    log = frozen(store, tmp_path)
    save_policy(network(schema_of()), tmp_path / "shop")
    names = {"SHOP": str(tmp_path / "shop"), "FIRST": str(folder / "first")}
    capsys.readouterr()
    assert main(["ope", *(names.get(word, word) for word in words), "--log", str(log)]) == 2
    heard = capsys.readouterr().err
    assert said in heard
    assert heard.count("\n") == 1


def test_a_rule_is_estimated_beside_the_policy_that_decided(store, policies, tmp_path):
    folder, first, _ = policies
    obs, _ = fill(store, first)
    log, out = frozen(store, tmp_path), tmp_path / "rule.json"
    words = ["--policy", "constant:1", "--against", str(folder / "first"), "--log", str(log)]
    assert main(["ope", *words, "--play", "sampled", "--json", str(out)]) == 0  # the other one is
    wanted = float(worth(obs, np.ones(COUNT, int)).mean())
    for one in json.loads(out.read_text())["estimates"]:
        assert abs(one["value"] - wanted) < 4 * (one["high"] - one["low"]) / 3.92


def test_what_knows_nothing_is_estimated_by_its_probabilities_and_a_policy_beside_itself_by_0(
    store, policies, tmp_path
):
    folder, first, _ = policies
    obs, _ = fill(store, first)
    log, out = frozen(store, tmp_path), tmp_path / "found.json"
    mine = str(folder / "first")
    words = ["--log", str(log), "--json", str(out), "--force", "--play", "sampled"]
    assert main(["ope", "--policy", "random", "--against", mine, *words]) == 0
    wanted = float((worth(obs, 0) + worth(obs, 1)).mean() / 2)
    for one in json.loads(out.read_text())["estimates"]:
        assert abs(one["value"] - wanted) < 4 * (one["high"] - one["low"]) / 3.92
    assert main(["ope", "--policy", mine, "--against", mine, *words]) == 0
    assert all(one["value"] == 0.0 for one in json.loads(out.read_text())["differences"])


def test_the_log_is_tested_against_what_is_estimated(store, policies, tmp_path):
    folder, first, _ = policies
    fill(store, first)
    found = ask(policies, frozen(store, tmp_path), tmp_path, "--against", str(folder / "first"))
    names = [test["name"] for test in found["quality"]]
    assert {"mean_weight_policy", "mean_weight_the other one"} <= set(names)
