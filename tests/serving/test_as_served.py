"""What is served is what was evaluated, to the last bit of the return; what differs is priced."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.as_served import cost_in_words, measure_cost
from compagnon.evaluation.episodes import decisions, play_episodes
from compagnon.evaluation.evaluate import evaluate
from compagnon.policy import Schema, load_policy
from compagnon.policy.action_selection import Play, what_differs
from compagnon.policy.as_served import AsServed
from compagnon.policy.manifest import (
    CategoricalHead,
    DeterministicHead,
    GaussianHead,
    ValuesHead,
)
from compagnon.serving import costs
from compagnon.serving.settings import ServiceSettings
from compagnon.store import registry
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from compagnon.worlds.workshop import WORKSHOP
from tests.envs.masked import COUNTER, register_counter
from tests.policy.networks import network, schema_of
from tests.serving.client import served
from tests.serving.support import exported

register_counter()
SEEDS = [1_000_000, 1_000_001]


def play_over_http(client, env_id, args, seed):
    """One episode whose decisions are asked of the service; its return, and how many there were."""
    env = BatchEnv(env_id, args, 1)
    env.reset([seed])
    total, count, over = 0.0, 0, False
    discrete = Schema.of(env).action.kind == "discrete"
    while not over:
        body = {"observation": env.obs[0].astype(float).tolist(), "episode": str(seed)}
        if discrete:
            body["mask_bits"] = "".join("1" if bit else "0" for bit in env.action_mask[0])
        action = client.decide(**body)["action"]
        step = env.step(
            np.array([action]) if discrete else np.array([[*action.values()]], np.float32)
        )
        total += float(step.reward[0])
        count += 1
        over = bool(step.terminated[0] or step.truncated[0])
    return total, count


def check_over_http(path, db, env_id, seeds):
    """The policy over HTTP earns exactly what evaluate says of what is served."""
    (own, exported_one) = evaluate(
        [str(path), f"onnx:{path}"], env_id, {}, len(seeds), seeds[0]
    ).scores
    with served(ServiceSettings(policy=str(path), db=db, rate=0)) as client:
        for place, seed in enumerate(seeds):
            total, count = play_over_http(client, env_id, {}, seed)
            assert total == exported_one.results.returns[place]
            assert count == exported_one.results.lengths[place] == own.results.lengths[place]
            # Before the export the arithmetic of vectors differs in its last bits.
            assert total == pytest.approx(own.results.returns[place], rel=1e-6)


@pytest.mark.parametrize(
    ("env_id", "head", "seeds"),
    [
        (COUNTER, CategoricalHead(), [5, 6, 7]),
        ("CartPole-v1", CategoricalHead(), [5, 6]),
        ("CartPole-v1", ValuesHead(), [5, 6]),
        ("Pendulum-v1", GaussianHead(), [5]),
        ("Pendulum-v1", DeterministicHead(), [5]),
    ],
)
def test_whole_episodes_over_http_return_exactly_what_evaluate_says(
    tmp_path, sqlite, env_id, head, seeds
):
    check_over_http(exported(tmp_path / "policy", env_id, head=head), sqlite, env_id, seeds)


@pytest.mark.slow
@pytest.mark.parametrize("head", [CategoricalHead(), ValuesHead()])
def test_a_week_of_the_workshop_over_http_returns_exactly_what_evaluate_says(
    tmp_path, sqlite, head
):
    check_over_http(exported(tmp_path / "policy", head=head), sqlite, WORKSHOP, SEEDS[:1])


def test_a_service_that_samples_does_not(tmp_path, sqlite):
    """The check above sees it when a service plays otherwise than was evaluated."""
    path = exported(tmp_path / "policy", "CartPole-v1")
    found = evaluate([str(path)], "CartPole-v1", {}, 4, 5).scores[0].results
    with served(ServiceSettings(policy=str(path), db=sqlite, rate=0, play="sampled")) as client:
        totals = [play_over_http(client, "CartPole-v1", {}, seed)[0] for seed in (5, 6, 7, 8)]
    assert totals != found.returns.tolist()


def test_as_served_plays_what_evaluate_plays(tmp_path):
    path = exported(tmp_path / "policy", "CartPole-v1")
    schema = schema_of("CartPole-v1")
    for name in (str(path), f"onnx:{path}"):
        policy = load_policy(name, schema)
        own, same = (
            play_episodes("CartPole-v1", {}, one, SEEDS) for one in (policy, AsServed(policy))
        )
        assert own.returns.tolist() == same.returns.tolist()
        drawn = play_episodes("CartPole-v1", {}, AsServed(policy, Play("sampled")), SEEDS * 8)
        assert len(set(drawn.returns.tolist())) > 1


def test_as_served_keeps_to_the_cap_in_each_episode(tmp_path):
    policy = network(schema_of("CartPole-v1"))
    env = BatchEnv("CartPole-v1", {}, 5)
    env.reset([1, 2, 3, 4, 5])
    playing = AsServed(policy, Play("greedy", 1.0, 0.0), cap=3).playing(env)
    for _ in decisions(env, playing):
        pass
    assert playing.explored_decisions.tolist() == [3] * 5


class Chooser:
    """A policy of CartPole that is good, and says how good the other action seems to it."""

    @staticmethod
    def make(push):
        policy = network(schema_of("CartPole-v1"), hidden=())
        weights = dict(policy.weights)
        weights["scaler.mean"] = np.zeros(4, np.float32)
        weights["scaler.std"] = np.ones(4, np.float32)
        row = np.array([0.2, 0.5, 3.0, 1.5], np.float32) * push
        weights["actor.0.weight"] = np.stack([-row, row])
        weights["actor.0.bias"] = np.zeros(2, np.float32)
        return type(policy)(policy.manifest, weights)


def test_the_cost_is_that_of_the_same_episodes():
    good = Chooser.make(3.0)
    cost = measure_cost(good, "CartPole-v1", {}, Play("greedy", 0.9, 0.0), episodes=12)
    greedy = play_episodes("CartPole-v1", {}, good, list(range(2_000_000, 2_000_012)))
    assert cost.evaluated == greedy.returns.mean() == 500.0
    assert cost.lost.mean == pytest.approx(cost.evaluated - cost.served)
    assert cost.lost.rises
    assert cost.words.startswith("exploring 90 % of the decisions costs ")
    assert "an episode (" in cost.words
    assert "12 episodes of CartPole-v1" in cost.words
    # What is nearly as good costs less than what is merely possible.
    safe = measure_cost(good, "CartPole-v1", {}, Play("greedy", 0.9, 0.8), episodes=12)
    assert safe.lost.mean < cost.lost.mean / 2
    capped = measure_cost(good, "CartPole-v1", {}, Play("greedy", 0.9, 0.0), 1, episodes=12)
    assert capped.lost.mean < cost.lost.mean / 2


def test_the_words_say_what_the_figures_do():
    good = Chooser.make(3.0)
    cost = measure_cost(good, "CartPole-v1", {}, Play("sampled"), episodes=1)
    assert "too little to tell" in cost.words
    free = measure_cost(good, "CartPole-v1", {}, Play("greedy", 0.1, 1.0), episodes=8)
    assert free.lost.mean == 0
    assert cost_in_words(free).startswith(
        "exploring 10 % of the decisions costs nothing that could be told an episode (0 to 0"
    )
    assert what_differs(Play("sampled", 0.05, 0.2)) == "sampling and exploring 5 % of the decisions"


@pytest.fixture
def cart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a service that is given no database makes one
    return exported(tmp_path / "cart", "CartPole-v1")


def settings(path, **more):
    return ServiceSettings(policy=str(path), **{"explore": 0.2, "cost_episodes": 8, **more})


def test_greedy_play_costs_nothing_and_measures_nothing(cart):
    assert costs.cost_words(ServiceSettings(policy=str(cart))) is None
    assert not (cart / costs.FILE).exists()


def test_what_was_measured_is_kept_beside_the_policy(cart, monkeypatch):
    said = []
    first = costs.cost_words(settings(cart), said.append)
    assert first.startswith("exploring 20 % of the decisions")
    assert said == [
        "measuring what exploring 20 % of the decisions costs: 8 episodes of CartPole-v1"
    ]
    assert costs.cost_words(settings(cart), said.append) == first
    assert len(said) == 1
    (kept,) = json.loads((cart / costs.FILE).read_text()).values()
    assert kept["words"] == first
    # Another play, or another model, is another question.
    for other in ({"play": "sampled"}, {"explore": 0.3}, {"explore_cap": 0}, {"cost_episodes": 9}):
        costs.cost_words(settings(cart, **other), said.append)
    assert len(said) == 5
    exported(cart, "CartPole-v1", scale=0.5)
    costs.cost_words(settings(cart), said.append)
    assert len(said) == 6
    (cart / costs.FILE).write_text("[1, 2")
    assert costs.cost_words(settings(cart), said.append)
    assert len(said) == 7


def test_of_a_registered_model_it_is_kept_beside_the_registry(cart, tmp_path):
    db = f"sqlite:///{tmp_path / 'd.db'}"
    store = open_store(db, create=True, check=False)
    upgrade(store)
    version = registry.add(store, cart, model="cart")
    registry.move(store, "cart", "champion", version.sha256)
    files = store.files
    store.close()
    said = []
    words = costs.cost_words(settings("registry:cart", db=db), said.append)
    assert costs.cost_words(settings("registry:cart", db=db), said.append) == words
    assert len(said) == 1
    assert (files / ".as_served" / version.sha256 / costs.FILE).is_file()
    assert sorted(path.name for path in (files / version.sha256).iterdir()) == [
        "export.json", "policy.json", "policy.onnx",
    ]  # fmt: skip


def test_a_cost_that_is_not_measured_says_so(cart, monkeypatch, tmp_path):
    assert "not measured (--cost-episodes 0)" in costs.cost_words(settings(cart, cost_episodes=0))

    def breaks(error):
        def measure(*_):
            raise error

        monkeypatch.setattr("compagnon.evaluation.as_served.measure_cost", measure)
        return costs.cost_words(settings(cart))

    assert "not measured: no environment" in breaks(InputError("no environment is called x"))
    assert "needs numba (pip install 'compagnon[worlds]')" in breaks(
        ModuleNotFoundError("No module named 'numba'", name="numba")
    )
    assert "not measured: ValueError: broken" in breaks(ValueError("broken"))
    assert not (cart / costs.FILE).exists()


def test_the_service_says_it_before_it_listens(cart, sqlite, capsys, monkeypatch):
    listens = []

    def serve(_, ready, experiment):
        assert experiment is None
        listens.append(capsys.readouterr().out)
        ready("http://127.0.0.1:1", None)
        return True  # nothing was lost

    monkeypatch.setattr("compagnon.serving.lifespan.serve", serve)
    words = ["serve", str(cart), "--db", sqlite, "--cost-episodes", "8", "--port", "0"]
    assert main([*words, "--explore", "0.2"]) == 0
    measuring, cost = listens[0].splitlines()
    assert measuring.startswith("measuring what exploring 20 % of the decisions costs")
    assert cost.startswith("exploring 20 % of the decisions ")
    assert capsys.readouterr().out.startswith("listening on ")
    assert main(words) == 0
    assert listens[1] == ""  # until it is known that it can
    how, where = capsys.readouterr().out.splitlines()[:2]
    assert how == "plays greedily, as it was evaluated"
    assert where.startswith("listening on ")


def test_an_option_of_before_says_what_it_has_become(cart, capsys):
    assert main(["serve", str(cart), "--epsilon", "0.1"]) == 2
    assert "--epsilon has become --explore" in capsys.readouterr().err


def _benchmark():
    file = Path(__file__).parents[2] / "benchmarks" / "as_served.py"
    spec = importlib.util.spec_from_file_location("as_served_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_says_of_each_policy_what_is_served(cart, capsys):
    assert _benchmark().main(["--quick", str(cart)]) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith(
        "| policy | environment | episodes | as evaluated | as served | differ |"
    )
    assert len(lines) == 3
    assert all("| 0 of 4 |" in line for line in lines)


def test_the_table_fails_where_something_else_is_served(cart, capsys, monkeypatch):
    benchmark = _benchmark()
    real = AsServed.playing

    def other(self, env):
        self.play = Play("sampled")
        return real(self, env)

    monkeypatch.setattr(AsServed, "playing", other)
    assert benchmark.main([str(cart), "--episodes", "6"]) == 1
    assert "| 0 of 6 |" not in capsys.readouterr().out
    assert benchmark.main([str(cart.parent / "none")]) == 1
