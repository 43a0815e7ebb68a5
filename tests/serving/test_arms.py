"""An experiment in service: the plan's arm decides, and the other's vector is logged."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.operations.experiments import ExperimentPlan, Metric, Sticky, Switchback
from compagnon.policy.action_selection import FALLBACK
from compagnon.serving.arms import Experiment
from compagnon.serving.replaying import loader
from compagnon.serving.rule_model import RuleModel
from compagnon.serving.settings import ServiceSettings
from compagnon.store.log import find
from compagnon.store.replay import pages, replay
from tests.policy.networks import schema_of
from tests.serving.client import SHOP, served
from tests.serving.support import exported

NOW = datetime.now(UTC)
PLAN = ExperimentPlan(
    name="try", salt="s", arms=("now", "new"), days=14, starts_at=NOW - timedelta(days=1),
    unit=Sticky(window_hours=1), primary=Metric(name="profit", direction="up"),
)  # fmt: skip
RULE = "expert:workshop-v2"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("other") / "other", scale=0.5)


def served_with(artefact, sqlite, policies, plan=PLAN, **changes):
    settings = ServiceSettings(policy=str(artefact), db=sqlite, **changes)
    return served(settings, Experiment(plan, policies))


def logged(client, decision_id):
    return find(client.parts.repository.store, decision_id)


def test_the_arm_of_the_plan_decides_and_both_vectors_are_logged(artefact, other, sqlite):
    with served_with(artefact, sqlite, {"new": str(other)}, play="sampled") as client:
        service = client.parts.service
        by_arm = {"now": service.model, "new": service.arms.arms["new"].decider}
        seen = set()
        for k in range(30):
            answer = client.decide(key=f"customer-{k}", id=f"d{k}")
            row = logged(client, f"d{k}")
            given = PLAN.assign(f"customer-{k}", row.time)
            assert (answer["arm"], answer["unit"]) == (given.arm, given.unit)
            assert (answer["experiment"], answer["key"]) == ("try", f"customer-{k}")
            assert (row.arm, row.unit, row.experiment) == (given.arm, given.unit, "try")
            mine = by_arm[given.arm]
            (theirs,) = (one for name, one in by_arm.items() if name != given.arm)
            assert (row.model_sha256, row.shadow_sha256) == (mine.sha256, theirs.sha256)
            obs = np.frombuffer(row.features, np.float32)[None]
            mask = np.unpackbits(np.frombuffer(row.mask, np.uint8), count=201).astype(bool)[None]
            for vector, model in ((row.probabilities, mine), (row.shadow, theirs)):
                wanted = model.say(obs, mask).probabilities[0]
                np.testing.assert_allclose(np.frombuffer(vector), wanted, atol=1e-7)
            seen.add(given.arm)
            # Asked again, whoever decides by now, it is the same.
            assert client.decide(key=f"customer-{k}", id=f"d{k}") == answer
        assert seen == {"now", "new"}
        info = client.get("/v1/policy")
        assert (info["experiment"], info["arms"]["new"]) == ("try", by_arm["new"].sha256)
        record = client.get("/v1/decisions/d3")
        assert record["arm"] in ("now", "new")
        assert record["unit"] == PLAN.assign("customer-3", record["time"]).unit


def test_a_batch_is_decided_arm_by_arm_as_each_alone(artefact, other, sqlite, tmp_path):
    bodies = [{"id": f"b{k}", "key": f"c{k}", "state": {**SHOP, "raw": k}} for k in range(40)]
    with served_with(artefact, sqlite, {"new": str(other)}, play="sampled", explore=0.5) as client:
        response = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
        batch = response.json()["decisions"]
        rows = [logged(client, f"b{k}") for k in range(40)]
        assert [one["id"] for one in batch] == [f"b{k}" for k in range(40)]
        assert len({one["arm"] for one in batch}) == 2
        load = loader(client.parts.repository.store, [artefact, other])
        found = replay(client.parts.repository.store, load)
        assert found.good
        assert found.checked == 40
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    with served_with(artefact, alone, {"new": str(other)}, play="sampled", explore=0.5) as client:
        for body, row in zip(bodies, rows, strict=True):
            client.decide(**body)
            mine = logged(client, body["id"])
            assert (mine.arm, mine.probabilities) == (row.arm, row.probabilities)
            assert mine.shadow == row.shadow


def test_a_rule_is_an_arm_like_another_and_is_replayed(artefact, sqlite):
    with served_with(artefact, sqlite, {"new": RULE}) as client:
        rule = client.parts.service.arms.arms["new"].decider
        for k in range(30):
            client.decide(key=f"c{k}", id=f"r{k}")
        store = client.parts.repository.store
        rows = [row for page in pages(store) for row in page]
        ruled = [row for row in rows if row.arm == "new"]
        assert {row.model_sha256 for row in ruled} == {rule.sha256}
        assert all(row.probability == 1.0 and row.mode == "deterministic" for row in ruled)
        obs = np.stack([np.frombuffer(row.features, np.float32) for row in ruled])
        mask = np.stack(
            [np.unpackbits(np.frombuffer(r.mask, np.uint8), count=201).astype(bool) for r in ruled]
        )
        assert rule.policy.act(obs, mask).tolist() == [row.action for row in ruled]
        assert replay(store, loader(store, [artefact, RULE])).good
        missing = replay(store, loader(store, [artefact]))
        assert list(missing.unknown) == [rule.sha256]
        with pytest.raises(InputError, match="give the exported policy that decided beside it"):
            loader(store, [RULE])


RAW = schema_of().observation.names.index("raw")


def odd(obs):
    """Whether there is an odd number of parts in stock."""
    return obs[..., RAW] % 2 == 1


class Broken:
    """A policy that fails on some questions."""

    sha256 = "f" * 64

    def __init__(self, sound, fault):
        self.sound, self.fault = sound, fault

    def say(self, obs, mask):
        if odd(obs).any():
            return self.fault(self.sound.say(obs, mask))
        return self.sound.say(obs, mask)


def raises(said):
    raise ZeroDivisionError("a fault of its own")


def no_numbers(said):
    outputs = np.full_like(said.outputs, np.nan)
    return said._replace(outputs=outputs, probabilities=np.full_like(said.probabilities, np.nan))


def impossible(said):
    raise InputError("it took an action that is not possible")


@pytest.mark.parametrize("fault", [raises, no_numbers, impossible])
def test_where_an_arm_fails_the_control_decides_and_the_log_says_so(
    artefact, other, sqlite, caplog, fault
):
    with served_with(artefact, sqlite, {"new": str(other)}, play="sampled") as client:
        service = client.parts.service
        arm = service.arms.arms["new"]
        service.arms.arms["new"] = arm._replace(decider=Broken(arm.decider, fault))
        keys = [k for k in range(60) if PLAN.assign(f"c{k}", NOW.timestamp()).arm == "new"]
        with caplog.at_level(logging.WARNING):
            bodies = [
                {"id": f"f{k}", "key": f"c{k}", "state": {**SHOP, "raw": raw}}
                for raw, k in enumerate(keys)
            ]
            answered = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies}).json()
        assert len(answered["decisions"]) == len(keys)
        fell = 0
        for k in keys:
            row = logged(client, f"f{k}")
            failed = bool(odd(np.frombuffer(row.features, np.float32)))
            assert row.arm == "new"
            assert (row.mode == FALLBACK) == failed
            assert row.model_sha256 == (service.model.sha256 if failed else Broken.sha256)
            fell += failed
        assert 0 < fell < len(keys)
        assert sum("the control decided in its place" in one for one in caplog.messages) == 1
        metrics = client.ask("GET", "/metrics").text
        count = next(
            x for x in metrics.splitlines() if x.startswith("compagnon_arm_fallbacks_total")
        )
        assert float(count.split()[1]) >= fell
        store = client.parts.repository.store
        found = replay(store, loader(store, [artefact]), model_sha256=service.model.sha256)
        assert found.good
        assert found.checked == fell


def test_an_arm_that_fails_where_it_is_not_to_decide_costs_its_own_vector_alone(
    artefact, other, sqlite
):
    with served_with(artefact, sqlite, {"new": str(other)}, play="sampled") as client:
        service = client.parts.service
        arm = service.arms.arms["new"]
        service.arms.arms["new"] = arm._replace(decider=Broken(arm.decider, raises))
        keys = [k for k in range(60) if PLAN.assign(f"c{k}", NOW.timestamp()).arm == "now"]
        bodies = [
            {"id": f"s{k}", "key": f"c{k}", "state": {**SHOP, "raw": raw}}
            for raw, k in enumerate(keys)
        ]
        client.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
        rows = [logged(client, f"s{k}") for k in keys]
        for row in rows:
            failed = bool(odd(np.frombuffer(row.features, np.float32)))
            assert (row.shadow is None) == failed
            assert row.mode != FALLBACK
        assert len({row.shadow is None for row in rows}) == 2
        metrics = client.ask("GET", "/metrics").text
        assert "compagnon_arm_fallbacks_total 0.0" in metrics


def test_before_and_after_the_experiment_nobody_has_an_arm(artefact, other, sqlite):
    later = replace(PLAN, starts_at=NOW + timedelta(days=1))
    with served_with(artefact, sqlite, {"new": str(other)}, later) as client:
        answer = client.decide(key="c", id="a")
        assert "arm" not in answer
        row = logged(client, "a")
        assert (row.arm, row.unit, row.experiment, row.shadow) == (None,) * 4
        assert row.model_sha256 == client.parts.service.model.sha256


def test_a_switchback_gives_the_arm_by_zone_and_hours(artefact, other, sqlite):
    unit = Switchback(block_hours=6, burn_in_hours=1)
    plan = replace(PLAN, unit=unit)
    with served_with(artefact, sqlite, {"new": str(other)}, plan) as client:
        for zone in ("north", "south"):
            client.decide(key=zone, id=zone)
            row = logged(client, zone)
            given = plan.assign(zone, row.time)
            assert (row.arm, row.unit) == (given.arm, given.unit)
            assert zone in row.unit


def test_without_a_key_it_is_refused_by_name(artefact, other, sqlite):
    with served_with(artefact, sqlite, {"new": str(other)}) as client:
        refused = client.decide(422)
        assert refused["field"] == "key"
        assert "splits by the key" in refused["error"]
        refused = client.decide(422, key="x" * 151)
        assert (refused["field"], "at most 150 characters" in refused["error"]) == ("key", True)
        assert client.decide(key="x" * 150)["unit"]
        body = {"decisions": [{"key": "a", "state": SHOP}, {"state": SHOP}]}
        refused = client.ask("POST", "/v1/decide/batch", json=body).json()
        assert refused["field"] == "decisions[1].key"


def test_models_stay_while_an_experiment_runs(artefact, other, sqlite):
    with served_with(artefact, sqlite, {"new": str(other)}) as client:
        before = client.parts.service.model.sha256
        exported(artefact, scale=2.0)
        assert not client.run(client.parts.reloader.look(again=True))
        assert "its models stay until it is over" in client.parts.service.refused
        assert client.parts.service.model.sha256 == before


def test_arms_that_cannot_be_are_refused(artefact, other, sqlite, tmp_path):
    cart = exported(tmp_path / "cart", "CartPole-v1")
    for policies, words in (
        ({}, "arm 'new' of try has no policy: --arm new="),
        ({"new": str(other), "x": str(other)}, "--arm x: the arms of try beside 'now'"),
        ({"new": str(cart)}, "reads or chooses something else"),
        ({"new": "expert:nobody"}, "no expert is called 'nobody'"),
        ({"new": "expert:workshop-rollout"}, "reads the running episode"),
        ({"new": str(tmp_path / "none")}, "none"),
    ):
        with pytest.raises(InputError, match=words), served_with(artefact, sqlite, policies):
            pass


def test_a_unit_fits_its_column_and_so_do_all_names(artefact, other, sqlite):
    long = replace(PLAN, unit=Switchback(block_hours=1), starts_at=NOW - timedelta(days=13))
    assert len(long.assign("x" * 150, NOW.timestamp()).unit) <= 200
    with (
        pytest.raises(InputError, match="names have at most 200 characters"),
        served_with(artefact, sqlite, {"new": str(other)}, replace(PLAN, name="n" * 201)),
    ):
        pass


def test_a_rule_that_takes_what_is_impossible_is_no_silent_action(monkeypatch):
    schema = schema_of()
    rule = RuleModel(RULE, schema)
    mask = np.zeros((2, 201), bool)
    mask[:, 0] = True
    obs = np.zeros((2, len(schema.observation.fields)), np.float32)
    assert rule.say(obs, mask).action.tolist() == [0, 0]
    monkeypatch.setattr(type(rule.policy), "act", lambda *_: np.array([0, 3]))
    with pytest.raises(InputError, match="took an action that is not possible"):
        rule.say(obs, mask)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arm", "new=x"], "give the plan of an experiment as well"),
        (["--experiment", "PLAN", "--arm", "new"], "'new' is not NAME=POLICY"),
        (["--experiment", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--experiment", "PLAN", "--workers", "2", "--db", "postgresql://x/y"], "one process"),
    ],
)
def test_the_command_line_says_what_is_wrong(artefact, tmp_path, capsys, words, said):
    (tmp_path / "plan.json").write_text(PLAN.to_json())
    words = [str(tmp_path / "plan.json") if word == "PLAN" else word for word in words]
    assert main(["serve", str(artefact), *words]) == 2
    heard = capsys.readouterr().err
    assert said in heard
    assert heard.count("\n") == 1
