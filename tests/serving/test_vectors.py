"""Decisions that are vectors: drawn within the bounds, with the density that the log says."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from compagnon.errors import InputError
from compagnon.policy.manifest import DeterministicHead, GaussianHead
from compagnon.policy.sampling import decision_seed
from compagnon.policy.schema import ActionSchema, Schema
from compagnon.policy.vector_sampling import draw_vector, log_density
from compagnon.serving.models import open_model
from compagnon.serving.replaying import loader
from compagnon.serving.settings import ServiceSettings
from compagnon.store.log import find
from compagnon.store.replay import replay
from compagnon.store.tables import decisions
from tests.policy.networks import network, schema_of
from tests.serving.client import served
from tests.serving.support import export, exported

BALL, PENDULUM = "compagnon/Ball-v0", "Pendulum-v1"
HERE = {"position_0": 1.5, "position_1": -3.0}


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    return {
        "gaussian": exported(
            folder / "g", BALL, env_args={"dimension": 2}, head=GaussianHead(state_dependent=True)
        ),
        "deterministic": exported(folder / "d", PENDULUM, head=DeterministicHead()),
    }


@pytest.fixture
def gaussian(policies, db):
    """A service that samples: nothing of what it draws is sure."""
    with served(ServiceSettings(policy=str(policies["gaussian"]), db=db, play="sampled")) as client:
        yield client


def logged(client, decision_id):
    return find(client.parts.repository.store, decision_id)


def test_an_answer_names_the_components_and_their_density(gaussian):
    answer = gaussian.decide(observation=HERE, id="a", key="line-1")
    assert answer.keys() == {"id", "action", "meaning", "density", "greedy", "model"}
    assert answer["action"].keys() == answer["greedy"].keys() == {"push_0", "push_1"}
    assert all(-2 <= value <= 2 for value in answer["action"].values())
    assert answer["meaning"].startswith("push_0 ")
    assert answer["density"] > 0
    assert answer["model"] == gaussian.parts.service.model.sha256


def test_the_log_holds_what_the_vector_was_drawn_from(gaussian):
    answer = gaussian.decide(observation=HERE, id="a", key="line-1")
    row, model = logged(gaussian, "a"), gaussian.parts.service.model
    codec = gaussian.parts.service.codec
    _, means, stds = model.say_vectors(np.frombuffer(row.features, np.float32)[None])
    own = model.policy.answer(np.frombuffer(row.features, np.float32)[None])
    np.testing.assert_allclose(means[0], 2 * own.outputs[0, :2], rtol=1e-6)
    np.testing.assert_allclose(stds[0], 2 * own.std[0], rtol=1e-6)
    assert np.frombuffer(row.distribution).tolist() == [*means[0].tolist(), *stds[0].tolist()]
    vector = np.frombuffer(row.action_vector, np.float32)
    assert vector.tolist() == list(answer["action"].values())
    assert row.log_density == log_density(vector, means[0], stds[0], codec.bounds, 0.0)
    assert row.probability == answer["density"] == math.exp(row.log_density)
    assert (row.mask, row.action, row.probabilities, row.mode) == (None, None, b"", "sampled")
    assert (row.key, row.epsilon, row.play, row.near) == ("line-1", 0.0, "sampled", None)
    secret = gaussian.parts.service.draw.secret
    assert (row.secret, row.seed) == (1, decision_seed("a", "default", secret.value))
    np.testing.assert_array_equal(list(answer["greedy"].values()), own.action[0])


def test_a_repeated_id_gives_the_same_answer_and_another_body_a_conflict(gaussian):
    first = gaussian.decide(observation=HERE, id="a")
    assert gaussian.decide(observation=HERE, id="a") == first
    assert gaussian.decide(409, observation={**HERE, "position_0": 0.0}, id="a")["field"] == "id"


def test_a_batch_decides_like_one_at_a_time(gaussian):
    bodies = [{"id": f"b{k}", "observation": [k / 3, -k / 4]} for k in range(25)]
    response = gaussian.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
    together = response.json()["decisions"]
    assert [gaussian.decide(**body) for body in bodies] == together
    for k, body in enumerate(bodies):
        gaussian.decide(**{**body, "id": f"c{k}"})
        assert logged(gaussian, f"c{k}").distribution == logged(gaussian, f"b{k}").distribution


def test_every_logged_vector_is_made_again_bit_for_bit(gaussian, policies):
    bodies = [{"id": f"b{k}", "observation": [k / 9, -k / 8]} for k in range(70)]
    gaussian.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
    gaussian.decide(observation=HERE)
    store = gaussian.parts.repository.store
    found = replay(store, loader(store, [policies["gaussian"]]))
    assert (found.checked, found.same, found.good) == (71, 71, True)


@pytest.mark.parametrize(
    "column",
    ["features", "distribution", "action_vector", "log_density", "probability", "seed", "epsilon"],
)
@pytest.mark.full
def test_a_changed_log_does_not_replay(policies, sqlite, column):
    settings = ServiceSettings(policy=str(policies["gaussian"]), db=sqlite, explore=0.5)
    with served(settings) as client:
        for k in range(3):
            client.decide(observation=HERE, id=f"d{k}")
        store = client.parts.repository.store
        value = getattr(logged(client, "d1"), column)
        if isinstance(value, bytes):
            array = np.frombuffer(value, "<f8" if column == "distribution" else "<f4").copy()
            array[0] += 0.5
            value = array.tobytes()
        else:
            value = value + (1 if column == "seed" else 0.01)
        with store.write() as connection:
            changed = decisions.update().where(decisions.c.id == "d1")
            connection.execute(changed.values({column: value}))
        found = replay(store, loader(store, [policies["gaussian"]]))
        assert [one.id for one in found.differences] == ["d1"]


def test_what_does_not_apply_is_named(gaussian):
    for name, value in (("mask_ids", [0]), ("mask_bits", "11"), ("alternatives", 3)):
        problem = gaussian.decide(422, observation=HERE, **{name: value})
        assert problem["field"] == name
        assert "vector" in problem["error"]
    body = {"decisions": [{"observation": HERE}, {"observation": HERE, "mask_ids": [0]}]}
    response = gaussian.ask("POST", "/v1/decide/batch", json=body)
    assert (response.status_code, response.json()["field"]) == (422, "decisions[1].mask_ids")
    assert gaussian.decide(422, state={"x": 1})["field"] == "state"
    assert gaussian.decide(422, observation=HERE, alternatives=99)["field"] == "alternatives"


def test_the_policy_and_a_logged_decision_are_told(gaussian):
    info = gaussian.get("/v1/policy")
    assert info["components"] == [
        {"name": f"push_{k}", "unit": "", "low": -2.0, "high": 2.0} for k in range(2)
    ]
    assert info["deterministic"] is False
    assert (info["play"], info["explore"], info["near"]) == ("sampled", 0.0, None)
    answer = gaussian.decide(observation=HERE, id="a")
    record = gaussian.get("/v1/decisions/a")
    assert record["action"] == answer["action"]
    assert record["density"] == answer["density"]
    assert record["std"].keys() == {"push_0", "push_1"}


def test_a_deterministic_policy_says_so_and_explores_when_told(policies, tmp_path):
    path = str(policies["deterministic"])
    angle = {"obs_0": 0.6, "obs_1": 0.8, "obs_2": -0.5}
    with served(ServiceSettings(policy=path, db=f"sqlite:///{tmp_path}/0.db")) as client:
        answer = client.decide(observation=angle, id="a")
        assert answer["density"] == "deterministic"
        assert answer["action"] == answer["greedy"]
        assert answer["action"].keys() == {"torque"}
        assert answer["meaning"].endswith(" N m")
        row = logged(client, "a")
        assert (row.mode, row.log_density, row.probability) == ("deterministic", 0.0, 1.0)
        assert client.get("/v1/decisions/a")["density"] == "deterministic"
        obs = np.frombuffer(row.features, np.float32)[None]
        own = client.parts.service.model.policy.act(obs)
        assert np.frombuffer(row.action_vector, np.float32) == own[0]
    db = f"sqlite:///{tmp_path}/1.db"
    with served(ServiceSettings(policy=path, db=db, explore=0.5, explore_spread=0.2)) as client:
        bodies = [{"observation": angle} for _ in range(400)]
        response = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
        answers = response.json()["decisions"]
        own = [one for one in answers if one["action"] == one["greedy"]]
        assert 140 < len(own) < 260
        assert {one["density"] for one in own} == {0.5}
        others = [one for one in answers if one["action"] != one["greedy"]]
        inside = [one for one in others if abs(one["action"]["torque"]) < 2]
        assert len(inside) > 50
        for one in inside:
            away = one["action"]["torque"] - one["greedy"]["torque"]
            assert one["density"] == pytest.approx(0.5 * norm.pdf(away, 0, 0.4), rel=1e-5)
        store = client.parts.repository.store
        assert replay(store, loader(store, [policies["deterministic"]])).good


def test_a_gaussian_policy_plays_its_mean_unless_it_is_told_otherwise(policies, db):
    settings = ServiceSettings(policy=str(policies["gaussian"]), db=db)
    with served(settings) as client:
        bodies = [{"id": f"b{k}", "observation": [k / 3, -k / 4]} for k in range(25)]
        response = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
        answers = response.json()["decisions"]
        obs = np.array([body["observation"] for body in bodies], np.float32)
        own = client.parts.service.model.policy.act(obs)
        assert [list(one["action"].values()) for one in answers] == own.tolist()
        assert {one["density"] for one in answers} == {"deterministic"}
        assert all(one["action"] == one["greedy"] for one in answers)
        store = client.parts.repository.store
        assert replay(store, loader(store, [policies["gaussian"]])).good
        assert logged(client, "b3").play == "greedy"


def test_vectors_from_before_replay_as_they_were_drawn(gaussian, policies):
    store, model = gaussian.parts.repository.store, gaussian.parts.service.model
    gaussian.decide(observation=HERE, id="new")
    row = logged(gaussian, "new")
    said = model.say_vectors(np.frombuffer(row.features, np.float32)[None])
    bounds = gaussian.parts.service.codec.bounds
    for k in range(20):
        seed = decision_seed(f"old{k}", "default")
        drawn = draw_vector(said.mean[0], said.std[0], bounds, 0.5, seed)
        old = row._replace(
            id=f"old{k}", seed=seed, epsilon=0.5, mode="sampled", play=None, secret=None,
            action_vector=drawn.action.tobytes(), log_density=drawn.log_density,
            probability=math.exp(drawn.log_density),
        )  # fmt: skip
        store.append([old])
    found = replay(store, loader(store, [policies["gaussian"]]))
    assert (found.checked, found.same) == (21, 21)


def test_sampling_and_exploring_at_once_is_refused(policies, sqlite):
    settings = ServiceSettings(
        policy=str(policies["gaussian"]), db=sqlite, play="sampled", explore=0.1
    )
    with pytest.raises(InputError, match=r"draws every vector already"), served(settings):
        pass


def test_exploring_without_bounds_is_refused_at_the_start(tmp_path, sqlite):
    given = schema_of(PENDULUM)
    free = Schema(given.env_id, given.observation, ActionSchema("box", 1, (-math.inf,), (4.0,)))
    path = export(network(free, head=DeterministicHead()), tmp_path / "free")
    with (
        pytest.raises(InputError, match=r"torque has no bounds .* --explore 0"),
        served(ServiceSettings(policy=str(path), db=sqlite, explore=0.1)),
    ):
        pass
    with served(ServiceSettings(policy=str(path), db=sqlite)) as client:
        answer = client.decide(observation={"obs_0": 0.6, "obs_1": 0.8, "obs_2": -0.5})
        assert answer["action"]["torque"] <= 4
        assert client.get("/v1/policy")["components"][0]["low"] is None
        assert json.dumps(client.get("/openapi.json"))


def test_a_model_that_cannot_explore_as_it_should_takes_no_other_s_place(tmp_path, sqlite):
    given = schema_of(PENDULUM)
    free = Schema(given.env_id, given.observation, ActionSchema("box", 1, (-math.inf,), (4.0,)))
    drawn = export(network(free, head=GaussianHead(state_dependent=False)), tmp_path / "drawn")
    sure = export(network(free, head=DeterministicHead()), tmp_path / "sure")
    asked = {"observation": {"obs_0": 0.6, "obs_1": 0.8, "obs_2": -0.5}}
    with served(ServiceSettings(policy=str(drawn), db=sqlite, explore=1.0)) as client:
        service = client.parts.service
        with pytest.raises(InputError, match="torque has no bounds"):
            service.swap(open_model(sure))
        assert service.swaps == 0
        assert client.decide(**asked)["model"] == open_model(drawn).sha256
    with served(ServiceSettings(policy=str(drawn), db=sqlite)) as client:
        client.parts.service.swap(open_model(sure))
        assert client.decide(**asked)["density"] == "deterministic"


def test_an_id_of_another_policy_is_a_conflict(policies, sqlite):
    cart = {"obs_0": 0.6, "obs_1": 0.8, "obs_2": -0.5}
    with served(ServiceSettings(policy=str(policies["deterministic"]), db=sqlite)) as client:
        client.decide(observation=cart, id="a")
        store, row = client.parts.repository.store, logged(client, "a")
        # As another service on the same database would have logged the same question.
        other = row._replace(
            id="c", schema_sha256="0" * 64, action=3, action_vector=None, mask=b"\xff",
            probabilities=np.full(4, 0.25).tobytes(), distribution=None, log_density=None,
        )  # fmt: skip
        client.decide(observation=cart, id="c")
        asked = logged(client, "c").request_sha256
        with store.write() as connection:
            connection.execute(decisions.delete().where(decisions.c.id == "c"))
        store.append([other._replace(request_sha256=asked)])
        assert client.decide(409, observation=cart, id="c")["field"] == "id"
        assert client.get("/v1/decisions/c")["meaning"] == "action 3"


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_policy_that_gives_no_numbers_is_refused(tmp_path):
    policy = network(schema_of(PENDULUM), head=GaussianHead())
    broken = {**policy.weights, "head.log_std": np.array([200.0], np.float32)}
    path = export(replace(policy, weights=broken), tmp_path / "broken")
    with pytest.raises(InputError, match="no vectors within the bounds"):
        open_model(path)
