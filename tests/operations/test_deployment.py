"""A deployment from one file: read or refused by its key, served, and its state in words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.operations.deployment import load_deployment
from compagnon.operations.deployment_status import define_outcomes, deployment_status, experiment_of
from compagnon.operations.experiments import ExperimentPlan, Metric, Sticky
from compagnon.serving import lifespan
from compagnon.serving.settings import ServiceSettings
from compagnon.store import experiments, outcomes, overrides
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from tests.serving.client import served
from tests.serving.support import exported
from tests.store.hand import by_hand
from tests.store.rows import row
from tests.waiting import wait_until

START = 1_700_000_000.0
GOOD = """
application = "shop"
policy = "policy"
arms = { rule = "expert:workshop-v2", new = "other" }
[service]
port = 0
explore = 0.05
[[outcomes]]
name = "profit"
weight = 1.0
matures_after = "2h"
[[outcomes]]
name = "late"
weight = -5.0
matures_after = "1h"
missing = "zero"
[[outcomes]]
name = "watched"
weight = 0
matures_after = "7d"
"""


def written(tmp_path, text=GOOD):
    (tmp_path / "d.toml").write_text(text)
    return tmp_path / "d.toml"


def test_what_is_written_is_read(tmp_path, capsys):
    exported(tmp_path / "policy")
    exported(tmp_path / "other", scale=0.5)
    found = load_deployment(written(tmp_path))
    assert (found.application, found.policy) == ("shop", str(tmp_path / "policy"))
    assert found.arms == {"rule": "expert:workshop-v2", "new": str(tmp_path / "other")}
    assert found.objective.weights == {"profit": 1.0, "late": -5.0}
    assert found.objective.zero == {"late"}
    settings = found.settings("sqlite:///x.db")
    assert (settings.explore, settings.port, settings.application) == (0.05, 0, "shop")
    assert main(["operate", "check", str(tmp_path / "d.toml")]) == 0
    said = capsys.readouterr().out
    assert "objective: +1 profit -5 late" in said
    assert "outcome late: within 1h, else zero" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('application = "shop"', "", "the key application is missing"),
        ('application = "shop"', 'application = "a b"', "application: "),
        ('policy = "policy"', 'policy = "policy"\ncolour = 1', "the key colour is unknown"),
        ("explore = 0.05", "explore = 5", "service.explore 5: give a number from 0 to 1"),
        ("explore = 0.05", 'explore = "much"', "service.explore: "),
        (
            'matures_after = "2h"',
            'matures_after = "soon"',
            "profit: matures_after soon: give a time",
        ),
        ('name = "late"', 'name = "profit"', "outcomes: profit is there twice"),
        ("weight = 1.0", "weight = inf", "weight: "),
        ('missing = "zero"', 'missing = "none"', "missing: "),
        ("[service]", "[service", "not TOML"),
        ("port = 0", "port = 100000000", "service.port 1e+08: give a number from 0"),
        ("explore = 0.05", "explore = nan", "service.explore: "),
        ('policy = "policy"', 'policy = ""', "policy: "),
        ('policy = "policy"', 'policy = "a\\u001b[31m"', "policy: "),
        ('new = "other"', 'new = "registry:x"', "arms.new: registry:x is of the registry"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load_deployment(written(tmp_path, GOOD.replace(old, new, 1)))
    assert words in str(caught.value)
    assert str(tmp_path / "d.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_objective_that_names_no_outcome_is_refused(tmp_path):
    text = GOOD.replace("weight = 1.0", "weight = 0").replace("weight = -5.0", "weight = 0")
    with pytest.raises(InputError, match="outcomes: none has a weight, so there is no objective"):
        load_deployment(written(tmp_path, text))


def test_check_looks_whether_policies_are_there_and_fit(tmp_path, capsys):
    file = str(written(tmp_path))

    def said(code):
        assert main(["operate", "check", file]) == code
        found = capsys.readouterr()
        return found.err if code else found.out

    assert "policy: " in said(2)
    exported(tmp_path / "policy")
    assert "arms.new: " in said(2)
    exported(tmp_path / "other", "CartPole-v1")
    assert "arms.new: " in said(2)
    (tmp_path / "other").rename(tmp_path / "gone")
    exported(tmp_path / "other", scale=0.5)
    assert "objective: +1 profit -5 late" in said(0)
    written(tmp_path, GOOD.replace("expert:workshop-v2", "expert:nobody"))
    assert "arms.rule: no expert is called 'nobody'" in said(2)


def test_init_quotes_what_it_is_given(tmp_path, capsys):
    policy, out = exported(tmp_path / 'a "b"' / "policy"), tmp_path / "d.toml"
    link = tmp_path / "link"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    link.symlink_to(tmp_path / "deep" / "er")
    for target in (out, link / "d.toml"):
        assert main(["operate", "init", str(policy), "--out", str(target)]) == 0
        assert Path(load_deployment(target).policy).resolve() == policy.resolve()
    other = tmp_path / "e.toml"
    assert main(["operate", "init", str(policy), "--out", str(other), "--application", 'a"b']) == 2
    assert "--application 'a\"b'" in capsys.readouterr().err
    assert not other.exists()


def test_init_writes_what_check_reads_and_writes_over_nothing(tmp_path, capsys):
    policy, out = exported(tmp_path / "runs" / "policy"), tmp_path / "d.toml"
    words = ["operate", "init", str(policy), "--out", str(out), "--application", "shop"]
    assert main(words) == 0
    found = load_deployment(out)
    assert Path(found.policy).resolve() == policy.resolve()
    assert found.application == "shop"
    assert main(["operate", "check", str(out)]) == 0
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err


# -- how it is doing ------------------------------------------------------------------------------


@pytest.fixture
def deployed(store, tmp_path):
    found = load_deployment(written(tmp_path))
    define_outcomes(store, found)
    return store, found


def test_an_outcome_that_no_client_sends_is_an_alarm(deployed):
    store, deployment = deployed
    store.append([row(k, time=START + k) for k in range(200)])
    late = START + 3 * 3600
    found = deployment_status(store, deployment, late)
    assert found.sentences[0] == "200 decisions are logged, the last one 3 h ago"
    assert "profit came for 0 of 200 mature decisions, 0 too late" in found.sentences
    assert "watched: no decision is old enough yet (7d)" in found.sentences
    assert any("profit never came, though 200 decisions are mature" in one for one in found.alarms)
    assert any("late never came" in one for one in found.alarms)
    given = [(row(k).id, "profit", 1.0) for k in range(0, 200, 3)]
    outcomes.put_many(store, given, START + 200)
    outcomes.put(store, row(5).id, "late", 1.0, START + 10)
    found = deployment_status(store, deployment, late)
    (alarm,) = found.alarms
    assert alarm.startswith("profit came in time for 34% of the mature decisions")
    outcomes.put_many(store, [(row(k).id, "profit", 1.0) for k in range(200)], START + 300)
    assert deployment_status(store, deployment, late).alarms == ()


def test_people_fallbacks_and_a_log_without_chance_are_told(deployed):
    store, deployment = deployed
    sure = [row(k, time=START + k, probability=1.0, mode="deterministic") for k in range(10)]
    store.append([*sure[:-1], sure[-1]._replace(mode="fallback")])
    overrides.put(store, row(3).id, "overridden", action=0, reason="ill")
    found = deployment_status(store, deployment, START + 3 * 86_400)
    assert "people took another action in 1 of them (10.0%)" in found.sentences
    heads = [
        "no decision was logged for more",
        "an arm failed in 1 decisions",
        "no decision was left",
    ]
    for head, alarm in zip(heads, found.alarms, strict=True):
        assert alarm.startswith(head)


def test_before_the_first_decision_there_is_nothing_to_look_at(deployed, tmp_path, capsys):
    store, deployment = deployed
    assert deployment_status(store, deployment).alarms == ()
    assert main(["operate", "status", str(tmp_path / "d.toml"), "--db", store.address]) == 0
    assert "no decision was logged yet" in capsys.readouterr().out
    store.append([row(1, time=START)])
    assert main(["operate", "status", str(tmp_path / "d.toml"), "--db", store.address]) == 1
    assert "alarm: no decision was logged for more than a day" in capsys.readouterr().out


# -- in service -----------------------------------------------------------------------------------


def plan_of(**changes):
    kept = {
        "name": "try", "salt": "s", "arms": ("now", "rule"), "days": 14,
        "starts_at": datetime.now(UTC) - timedelta(hours=1), "unit": Sticky(window_hours=1),
        "primary": Metric(name="profit", direction="up"),
    }  # fmt: skip
    return ExperimentPlan(**(kept | changes))


def test_an_experiment_is_told_and_is_chance_enough(deployed):
    store, deployment = deployed
    sure = {"probability": 1.0, "mode": "deterministic"}
    store.append([row(k, time=START + k, experiment="try", **sure) for k in range(3)])
    running(store, plan_of())
    found = deployment_status(store, deployment, START + 60)
    assert found.alarms == ()
    assert "experiment try runs: `compagnon experiment status try`" in found.sentences


def test_a_plan_that_was_changed_by_hand_is_not_served(deployed):
    store, deployment = deployed
    running(store, plan_of())
    by_hand(store, 'update experiments set plan = replace(plan, \'"salt":"s"\', \'"salt":"t"\')')
    with pytest.raises(InputError, match="was stored; `compagnon db check` says what was changed"):
        experiment_of(store, deployment)


@pytest.fixture
def local(tmp_path):
    """A store of the service's own, and its address."""
    address = f"sqlite:///{tmp_path / 'log.db'}"
    store = open_store(address, create=True, check=False)
    upgrade(store)
    yield store, address
    store.close()


def running(store, plan):
    experiments.add(store, plan.name, "shop", plan.to_json())
    experiments.start(store, plan.name)


def test_a_running_experiment_takes_its_arms_from_the_deployment(tmp_path, local):
    store, _ = local
    deployment = load_deployment(written(tmp_path))
    assert experiment_of(store, deployment) is None
    running(store, plan_of())
    found = experiment_of(store, deployment)
    assert found.policies == {"rule": "expert:workshop-v2"}
    assert found.stored
    experiments.stop(store, "try", "over")
    running(store, plan_of(name="next", arms=("now", "nobody")))
    with pytest.raises(
        InputError, match=r"arm 'nobody' has no policy: .* \(there are: rule, new\)"
    ):
        experiment_of(store, deployment)


def test_stopped_in_the_store_it_is_over_in_service(tmp_path, local):
    store, address = local
    policy = exported(tmp_path / "policy")
    running(store, plan_of())
    experiment = experiment_of(store, load_deployment(written(tmp_path)))
    settings = ServiceSettings(policy=str(policy), db=address, application="shop")
    store.close()
    with served(settings, experiment) as client:
        assert client.decide(key="a")["experiment"] == "try"
        experiments.stop(client.parts.repository.store, "try", "enough")
        wait_until(lambda: client.parts.service.arms.stopped, 10)
        assert "experiment" not in client.decide(key="a")
        assert "experiment" not in client.decide()


def test_the_verb_makes_the_outcomes_known_and_serves(tmp_path, local, monkeypatch, capsys):
    store, address = local
    exported(tmp_path / "policy")
    file = written(tmp_path, GOOD.replace("explore = 0.05", "cost_episodes = 0"))
    running(store, plan_of())
    store.close()
    seen = []

    def asked(settings, ready, experiment):
        seen.append((settings, experiment))
        return True  # nothing was lost

    monkeypatch.setattr(lifespan, "serve", asked)
    assert main(["operate", "serve", str(file), "--db", address]) == 0
    said = capsys.readouterr().out
    assert "experiment try runs: now, rule" in said
    assert "every answered decision is in the log" in said
    ((settings, experiment),) = seen
    assert (settings.application, experiment.policies) == ("shop", {"rule": "expert:workshop-v2"})
    again = open_store(address, check=False)
    assert outcomes.define(again, "late", 3600.0) == 3600.0
    again.close()
