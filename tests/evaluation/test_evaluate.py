import json

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import EpisodeResults, decisions, play_episodes
from compagnon.evaluation.evaluate import Evaluation, compare, evaluate, score_policy
from compagnon.evaluation.progress import usual_length
from compagnon.evaluation.statistics import mean_interval
from compagnon.policy import Schema, load_policy
from compagnon.worlds.workshop import WORKSHOP
from tests.evaluation.names import BASE_STOCK, V2, WAIT


def results(returns: list[float], seed: int = 0) -> EpisodeResults:
    seeds = tuple(range(seed, seed + len(returns)))
    return EpisodeResults(seeds, np.array(returns), np.ones(len(returns), np.int64))


def test_the_published_experts_figures(published: Evaluation) -> None:
    v2, _, _, wait = published.scores
    assert 12_900 < v2.mean < 13_300
    assert abs(wait.mean - -6_077) < 100
    assert wait.kpis["waits"] == 10_080


def test_a_paired_difference_worked_out_by_hand() -> None:
    ours, theirs = results([3.0, 5.0, 4.0, 9.0]), results([1.0, 5.0, 6.0, 4.0])
    pair = compare(score_policy("ours", ours), score_policy("theirs", theirs))
    assert (pair.policy, pair.against) == ("ours", "theirs")
    assert pair.mean == (2 + 0 - 2 + 5) / 4
    assert pair.win_share == (1 + 0.5 + 0 + 1) / 4
    assert pair.ci95[0] < pair.mean < pair.ci95[1]


def test_other_seeds_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="same seeds"):
        compare(score_policy("a", results([1, 2])), score_policy("b", results([1, 2], seed=5)))


def test_standard_deviation_is_of_a_sample() -> None:
    assert score_policy("a", results([1.0, 3.0])).sd == pytest.approx(2**0.5)
    assert score_policy("a", results([1.0])).sd == 0.0


def test_pairing_is_tighter_than_comparing_means(published: Evaluation) -> None:
    v2, base = published.scores[:2]
    pair = published.paired[0]
    apart = (base.ci95[1] - base.ci95[0]) + (v2.ci95[1] - v2.ci95[0])
    assert pair.ci95[1] - pair.ci95[0] < 0.5 * apart


def test_json_has_the_documented_shape(published: Evaluation) -> None:
    data = json.loads(json.dumps(published.as_json(), allow_nan=False))
    assert {"env", "episodes", "seed", "policies", "paired"} <= set(data)
    assert (data["env"], data["episodes"], data["seed"]) == (WORKSHOP, 100, 1_000_000)
    for policy in data["policies"]:
        assert set(policy) == {"name", "mean", "sd", "ci95", "kpis", "per_episode"}
        assert policy["ci95"][0] <= policy["mean"] <= policy["ci95"][1]
    assert [pair["policy"] for pair in data["paired"]] == [p["name"] for p in data["policies"][1:]]
    for pair in data["paired"]:
        assert set(pair) == {"policy", "against", "mean", "ci95", "win_share"}
        assert pair["against"] == V2


def test_json_lets_anybody_find_the_figures_again(published: Evaluation) -> None:
    data = json.loads(json.dumps(published.as_json(), allow_nan=False))
    assert data["seeds"] == list(range(1_000_000, 1_000_100))
    returns = {one["name"]: np.array(one["per_episode"]["returns"]) for one in data["policies"]}
    for policy in data["policies"]:
        every = policy["per_episode"]
        assert np.mean(every["returns"]) == pytest.approx(policy["mean"])
        assert mean_interval(returns[policy["name"]]) == tuple(policy["ci95"])
        for name, mean in policy["kpis"].items():
            assert np.mean(every["kpis"][name]) == pytest.approx(mean)
        assert every["lengths"] == [int(n) for n in every["lengths"]]
    for pair in data["paired"]:
        difference = returns[pair["policy"]] - returns[pair["against"]]
        assert mean_interval(difference) == tuple(pair["ci95"])


def test_an_unknown_figure_of_one_episode_is_null() -> None:
    kpis = {"late": np.array([1.0, np.nan])}
    found = EpisodeResults((0, 1), np.zeros(2), np.ones(2, np.int64), kpis).as_json()
    assert found == {"returns": [0, 0], "lengths": [1, 1], "kpis": {"late": [1.0, None]}}


def test_one_episode_gives_json_without_nan() -> None:
    one = evaluate([V2, WAIT], WORKSHOP, {}, episodes=1).as_json()
    text = json.dumps(one, allow_nan=False)
    assert json.loads(text)["policies"][0]["ci95"] == [None, None]


@pytest.mark.full
def test_same_seeds_same_figures_and_other_seeds_other_figures() -> None:
    first = evaluate([V2], WORKSHOP, {}, episodes=4, seed=5)
    assert evaluate([V2], WORKSHOP, {}, episodes=4, seed=5).as_json() == first.as_json()
    assert evaluate([V2], WORKSHOP, {}, episodes=4, seed=9).as_json() != first.as_json()


def test_an_episode_does_not_depend_on_its_company() -> None:
    many = evaluate([BASE_STOCK], WORKSHOP, {}, episodes=5, seed=20).scores[0].results
    one = evaluate([BASE_STOCK], WORKSHOP, {}, episodes=1, seed=23).scores[0].results
    assert many.returns[3] == one.returns[0]


def test_works_on_any_gymnasium_env() -> None:
    found = evaluate(["constant:0", "random"], "CartPole-v1", {}, episodes=10, seed=0)
    assert 8 <= found.scores[0].mean <= 11
    assert found.scores[0].kpis == {}
    np.testing.assert_array_equal(found.scores[0].results.lengths, found.scores[0].results.returns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episodes": 0}, "episodes=0"),
        ({"seed": -1}, "seed=-1"),
        ({"policies": []}, "at least one"),
        ({"policies": ["expert:nobody"]}, "nobody"),
        ({"env_id": "compagnon/Workshp-v0"}, "did you mean"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"policies": [V2], "env_id": WORKSHOP, "env_args": {}}
    with pytest.raises(InputError, match=message):
        evaluate(**(arguments | change))  # type: ignore[arg-type]


def test_decisions_show_what_the_policy_saw_not_what_came_after() -> None:
    env = BatchEnv(WORKSHOP, {"decision_points": True}, 2)
    env.reset([1, 2])
    policy = load_policy(V2, Schema.of(env))
    time = np.zeros(2)
    for decision in decisions(env, policy):
        playing = decision.playing
        np.testing.assert_array_equal(decision.obs[playing, 0], time[playing])
        np.testing.assert_array_equal(
            decision.action, policy.act(decision.obs, decision.action_mask)
        )
        time += decision.step.duration
    assert (time >= 10_080).all()


@pytest.mark.full
def test_more_episodes_than_fit_a_batch_are_the_same_episodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schema = Schema.of(BatchEnv(WORKSHOP, {}, 1))
    policy, seeds = load_policy(V2, schema), [3, 1, 4, 1, 5]
    whole = play_episodes(WORKSHOP, {}, policy, seeds)
    monkeypatch.setattr("compagnon.evaluation.episodes.MAX_COPIES", 2)
    parts = play_episodes(WORKSHOP, {}, policy, seeds)
    np.testing.assert_array_equal(whole.returns, parts.returns)
    np.testing.assert_array_equal(whole.kpis["profit"], parts.kpis["profit"])
    assert whole.returns[1] == whole.returns[3]


class _Careless:
    """Launches 50 P1 whether it can or not."""

    name = "careless"

    def act(self, obs, action_mask=None, rng=None):
        return np.full(len(obs), 49)


def test_a_policy_that_takes_a_masked_action_is_refused_by_name():
    with pytest.raises(InputError, match="careless chose action 49, which its action mask forbids"):
        evaluate([_Careless()], "compagnon/Workshop-v0", {}, episodes=2)


def test_how_long_an_episode_takes_is_known_of_an_environment_named_by_its_module():
    assert usual_length("CartPole-v1") == 500
    assert usual_length("tests.rl.small:CartPole-v1") == 500
    assert usual_length("no-such-env") is None
