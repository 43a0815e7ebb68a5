"""The journey of an experiment: laid down, started, looked at on a clock of its own, ended."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.experiments import Verdict, lifecycle, units_of
from compagnon.operations.experiments.from_log import decisions_of
from compagnon.store import events, experiments, outcomes, overrides, verifying
from tests.operations.experiments.plans import a_switchback, at
from tests.operations.experiments.simulated import HOUR, a_stored_plan, define, play
from tests.store.hand import by_hand
from tests.store.rows import row


def begun(store, plan=None):
    """A plan that runs."""
    plan = plan or a_stored_plan()
    lifecycle.register(store, plan, "shop", now=at(-2))
    define(store)
    lifecycle.start(store, plan.name, now=at(-1))
    return plan


def due(plan, number):
    """A minute after a look is due."""
    return plan.look_at(number).timestamp() + 60


def looked(store, plan):
    """All looks, one after the other, until one decides."""
    found = []
    for number in range(1, 1 + len(plan.look_days)):
        found.append(lifecycle.look(store, plan.name, now=due(plan, number)))
        if found[-1].decision != "go on":
            break
    return found


def kinds(store):
    with store.read() as connection:
        return [one.kind for one in events.read(connection) if "experiment" in one.body]


def everything(store):
    return kinds(store), experiments.listed(store), experiments.looks_of(store, "pooling")


def test_a_better_arm_ships(store):
    plan = begun(store)
    play(store, plan, gain=3.0)
    name = plan.name
    assert lifecycle.report(store, name, at(-1)).sentence == "not started: begins in 24 hours"
    assert (
        lifecycle.report(store, name, at(0.5)).sentence == "too early: 0 of 14 looks, 14 days left"
    )
    waiting = lifecycle.report(store, name, due(plan, 1))
    assert waiting.sentence == "look 1 of 14 is due: take it"
    found = looked(store, plan)
    assert 1 < len(found) < 14
    assert [one.decision for one in found] == ["go on"] * (len(found) - 1) + ["ship"]
    last = found[-1].effect("B")
    assert last.low > 0
    assert last.low < 3.0 < last.high
    stands = lifecycle.report(store, name, due(plan, len(found)))
    assert stands.status.verdict == Verdict.SHIP
    assert stands.sentence == f"ship: {last.words}"
    assert stands.looks == tuple(found)
    with pytest.raises(InputError, match=f"look {len(found)} decided .ship.; nothing is left"):
        lifecycle.look(store, name, now=due(plan, len(found) + 1))
    experiments.stop(store, name, "it ships", now=at(12))
    assert (
        "stopped at 2026-03-14 00:00 UTC: it ships; it was: ship: +"
        in lifecycle.report(store, name, at(30)).sentence
    )
    assert kinds(store) == [
        "experiment.planned", "experiment.started", *["experiment.looked"] * len(found),
        "experiment.stopped",
    ]  # fmt: skip
    assert verifying.verify(store).faults == []


def test_an_a_a_is_kept_after_all_its_looks(store):
    plan = begun(store)
    play(store, plan)
    found = looked(store, plan)
    assert [one.number for one in found] == list(range(1, 15))
    assert [one.decision for one in found] == ["go on"] * 13 + ["keep"]
    assert lifecycle.report(store, plan.name, at(15)).sentence.startswith("keep A: no gain shown")
    with pytest.raises(InputError, match="look 15: the plan has 14 looks"):
        lifecycle.look(store, plan.name, now=at(20))
    assert len(experiments.looks_of(store, plan.name)) == 14


def test_a_worse_guardrail_rolls_back(store):
    plan = begun(store)
    play(store, plan, gain=1.0, late=0.6)
    stands = lifecycle.report(store, plan.name, at(10))
    assert stands.status.verdict == Verdict.ROLL_BACK
    assert stands.sentence == "roll back now: late pick-ups worse than the margin"
    # It is watched at any time, and not seen before there was anything to see.
    early = lifecycle.report(store, plan.name, at(0.9))
    assert early.status.verdict == Verdict.TOO_EARLY


def test_a_look_says_what_the_library_says_of_the_same_units(store):
    plan = begun(store)
    play(store, plan, gain=3.0, days=3)
    found = lifecycle.look(store, plan.name, actor="me", now=due(plan, 3))
    logged = decisions_of(store, plan, "shop", due(plan, 3))
    units = units_of(plan, logged.decisions, due(plan, 3))
    assert found.data_sha256 == units.sha256()
    assert found.plan_sha256 == plan.sha256()
    with store.read() as connection:
        event = [one for one in events.read(connection) if one.kind == experiments.LOOKED][-1]
    assert event.actor == "me"
    assert event.body["evidence"] == {
        "decision": "go on", "arm": None, "plan_sha256": plan.sha256(),
        "data_sha256": units.sha256(), "units": dict(zip("AB", units.counts(2), strict=True)),
        "overridden": {"A": 0, "B": 0}, "fallback": {"A": 0, "B": 0},
    }  # fmt: skip


def test_the_arms_say_what_counts_and_what_was_left_out(store):
    plan = begun(store)
    play(store, plan, days=2)
    mine = {arm: [] for arm in "AB"}
    for k in range(60):
        mine[plan.assign(f"customer {k}", at(0.5)).arm].append(k)
    for k in mine["B"][:2]:
        overrides.put(store, row(k).id, "overridden", action=2, reason="ill")
    overrides.put(store, row(mine["A"][0]).id, "accepted")
    stands = lifecycle.report(store, plan.name, at(1.5))
    a, b = stands.arms
    # 46 decisions came by then; those of the last half day are incomplete, 16 of them.
    assert (a.arm, b.arm) == ("A", "B")
    assert a.units + b.units == 46 - 2
    assert a.incomplete + b.incomplete == 16 - 1 + 1 - 1
    assert (a.overridden, b.overridden, a.fallback, b.fallback) == (0, 2, 0, 0)
    for one in (a, b):
        left = one.incomplete + one.immature + one.unknown + one.alone
        assert one.units == one.counted + left
    units = units_of(plan, decisions_of(store, plan, "shop", at(1.5)).decisions, at(1.5))
    known = units.left_out("profit")
    assert [a.incomplete + b.incomplete, a.immature + b.immature] == list(known.values())[:2]
    assert [a.unknown + b.unknown, a.alone + b.alone] == list(known.values())[2:]
    gain = b.means["profit"] - a.means["profit"]
    assert gain == pytest.approx(units.difference("profit").mean)
    figures = [
        outcomes.of_decision(store, row(k).id)[1].value
        for k in mine["A"]
        if k * 86_400 / 30 + 12 * HOUR <= 1.5 * 86_400
    ]
    assert a.means["profit"] == pytest.approx(np.mean(figures))
    told = lifecycle.as_json(stands)
    assert told["arms"][1]["overridden"] == 2
    assert told["experiment"]["plan"]["name"] == "pooling"
    assert json.loads(json.dumps(told))["verdict"] == "look due"


def test_an_arm_whose_decisions_are_all_left_out_is_seen(store):
    """Units of which nothing is left are missing, and too many are missing in one arm."""
    plan = begun(store)
    play(store, plan, days=7)
    failed = [k for k in range(210) if plan.assign(f"customer {k}", at(1)).arm == "B"][:75]
    for k in failed:
        overrides.put(store, row(k).id, "overridden", action=2, reason="no")
    stands = lifecycle.report(store, plan.name, at(7))
    assert stands.status.verdict == Verdict.UNHEALTHY
    assert stands.arms[1].overridden == 75


def test_where_an_arm_failed_its_figures_hold_what_came_of_it(store):
    """Without its hard decisions it would look better than it is."""
    plan = begun(store)
    play(store, plan, days=7)
    before = lifecycle.report(store, plan.name, at(7))
    failed = [k for k in range(210) if plan.assign(f"customer {k}", at(1)).arm == "B"][:75]
    ids = ", ".join(f"'{row(k).id}'" for k in failed)
    by_hand(store, f"update decisions set mode = 'fallback' where id in ({ids})")
    after = lifecycle.report(store, plan.name, at(7))
    assert [one.means for one in after.arms] == [one.means for one in before.arms]
    assert (after.arms[1].fallback, after.sentence) == (75, before.sentence)


def test_an_arm_that_is_left_with_the_easy_decisions_is_warned_of(store):
    plan = begun(store)
    play(store, plan, days=3)
    assert lifecycle.report(store, plan.name, at(3)).warnings == ()
    failed = [k for k in range(90) if plan.assign(f"customer {k}", at(1)).arm == "B"]
    overrides.put(store, row(failed[0]).id, "overridden", action=2, reason="no")
    (warning,) = lifecycle.report(store, plan.name, at(3)).warnings
    share = 100 / len(failed)
    assert f"left out, by arm A 0.0 %, B {share:.1f} %: what is left of an arm" in warning


def test_a_plan_that_does_not_wait_for_outcomes_is_warned_of(store):
    begun(store, a_stored_plan(maturity_hours=1.5))
    (warning,) = lifecycle.report(store, "pooling", at(0)).warnings
    assert warning.startswith("outcomes may come for 2 h, and maturity_hours is 1.5: each look")


def test_in_a_switchback_blocks_without_a_partner_do_not_count(store):
    plan = begun(store, a_switchback(name="pooling", guardrails=(), maturity_hours=2))
    rows = []
    for k in range(36):  # an hour apart: six blocks of 6 h, the first hour of each a burn-in
        given = plan.assign("north", at(k / 24))
        rows.append(row(k, time=at(k / 24), key="north", arm=given.arm, unit=given.unit,
                        experiment="pooling"))  # fmt: skip
    store.append(rows)
    came = [outcomes.Given(one.id, "profit", 1.0, one.time + HOUR) for one in rows]
    outcomes.put_each(store, came)
    stands = lifecycle.report(store, "pooling", at(1.75))
    # Blocks 0 and 4, 1 and 5 are pairs; 2 and 3 wait for 6 and 7.
    assert sum(one.units for one in stands.arms) == 6
    assert [one.counted for one in stands.arms] == [2, 2]
    assert sum(one.alone for one in stands.arms) == 2
    assert all(one.means["profit"] == 1.0 for one in stands.arms)


@pytest.mark.parametrize("unit", ["sticky", "switchback"])
def test_nothing_logged_is_no_fault(store, unit):
    plan = a_stored_plan() if unit == "sticky" else a_switchback(name="pooling")
    begun(store, plan)
    stands = lifecycle.report(store, "pooling", at(0.1))
    assert stands.status.verdict == Verdict.TOO_EARLY
    assert [one.units for one in stands.arms] == [0, 0]
    assert math.isnan(stands.arms[0].means["profit"])
    found = lifecycle.look(store, "pooling", now=due(plan, 14))
    assert (found.effects, found.decision) == ((), "keep")


def test_one_that_was_stopped_stands_as_it_stood(store):
    plan = begun(store)
    play(store, plan, days=4)
    experiments.stop(store, plan.name, "ill", now=at(2))
    then = lifecycle.report(store, plan.name, at(2))
    later = lifecycle.report(store, plan.name, at(40))
    assert [one.units for one in then.arms] == [one.units for one in later.arms]
    assert sum(one.incomplete for one in later.arms) == 15  # whose window was never played out


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s, plan: lifecycle.look(s, "pooling", now=at(0.5)),
         "look 1 is planned for 2026-03-03T02:00:00.00:00; wait until then"),
        (lambda s, plan: lifecycle.look(s, "other", now=at(3)), "other was not started; only"),
        (lambda s, plan: lifecycle.look(s, "ended", now=at(3)), "ended was stopped; only one"),
        (lambda s, plan: lifecycle.look(s, "nope", now=at(3)), "no experiment 'nope'"),
        (lambda s, plan: lifecycle.start(s, "other", now=at(-1)), "pooling of application 'shop'"),
        (lambda s, plan: lifecycle.start(s, "other", now=at(1.5)),
         "should have started at 2026-03-02 00:00 UTC, and its first look was due at 2026-03-0"),
        (lambda s, plan: lifecycle.start(s, "undefined", now=at(-1)),
         "no outcome 'smiles' has come, and none is defined .*compagnon outcomes define smiles"),
        (lambda s, plan: lifecycle.register(s, replace(plan, alpha=0.1), "shop", now=at(0)),
         "pooling has another plan .sha256 .*, this one is .*; a plan does not change"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_sentence_and_changes_nothing(store, ask, words):
    plan = begun(store)
    lifecycle.register(store, replace(plan, name="other"), "shop", now=at(-1))
    smiles = replace(plan, name="undefined", primary=replace(plan.primary, name="smiles"))
    lifecycle.register(store, smiles, "depot", now=at(-1))
    lifecycle.register(store, replace(plan, name="ended"), "shop", now=at(-1))
    experiments.stop(store, "ended", "done", now=at(0))
    before = everything(store)
    with pytest.raises(InputError, match=words) as refused:
        ask(store, plan)
    assert "\n" not in str(refused.value)
    assert everything(store) == before


def test_a_look_is_not_taken_twice(store):
    plan = begun(store)
    play(store, plan, days=3)
    lifecycle.look(store, plan.name, now=due(plan, 1))
    before = everything(store)
    with pytest.raises(InputError, match=r"look 2 is planned for .*; wait until then"):
        lifecycle.look(store, plan.name, now=due(plan, 1) + 60)
    assert everything(store) == before
    # One that was missed is lost: the third is taken.
    assert lifecycle.look(store, plan.name, now=due(plan, 3)).number == 3


def test_a_log_that_is_not_as_planned_is_not_looked_at(store):
    plan = begun(store)
    play(store, plan, days=3)
    other = "B" if plan.assign("customer 7", at(0.5)).arm == "A" else "A"
    by_hand(store, f"update decisions set arm = '{other}' where id = '{row(7).id}'")
    before = everything(store)
    with pytest.raises(InputError, match=r"1 of 63 decisions of experiment pooling .*000007"):
        lifecycle.look(store, plan.name, now=due(plan, 2))
    with pytest.raises(InputError, match="000007"):
        lifecycle.report(store, plan.name, at(2))
    assert everything(store) == before


def test_a_plan_that_was_changed_by_hand_is_not_carried_out(store):
    plan = begun(store)
    by_hand(store, "update experiments set plan = replace(plan, '0.05', '0.5')")
    with pytest.raises(InputError, match=r"its plan has sha256 .*db check` says what was changed"):
        lifecycle.report(store, plan.name, at(1))
    assert any("experiments: pooling" in one for one in verifying.verify(store).faults)
