"""Every played day holds when it is driven again without the kernels: minutes, seats, costs."""

from dataclasses import replace

import numpy as np
import pytest

from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, plans
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.policy.networks import schema_of
from tests.worlds.dispatch.plan_checker import check, played
from tests.worlds.dispatch.test_conditions import ROUGH
from tests.worlds.dispatch.worlds import rich_day

CALM = {"no_show": 0.0, "cancel": 0.0}
POLICIES = (
    "random", "expert:dispatch-nearest", "expert:dispatch-insertion", "expert:dispatch-regret:3",
    "expert:dispatch-regret:3:slack", "expert:dispatch-regret:3:opportunity",
    "expert:dispatch-matching",
)  # fmt: skip


def finished(name, count, seed=0, instances=None, **args):
    """Finished days of a policy, each taken down in the step before a new one would begin."""
    options = DispatchOptions.parse(**{**CALM, **args})
    core_env = DispatchVectorEnv(count, instances=instances, **CALM, **args)
    schema: Schema = schema_of(DISPATCH, **CALM, **args)
    policy = load_policy(name, schema)
    obs, info = core_env.reset(seed=list(range(seed, seed + count)))
    core, rng = core_env.core, np.random.default_rng(seed)
    prices = options.weights()._asdict()
    done, passes, days = np.zeros(count, np.bool_), np.zeros(count, np.bool_), []
    while not done.all():
        actions = policy.act(core.out.obs, core.out.mask, rng).astype(np.int64)
        core.step(actions, False)  # an ended day stands where it ended
        planned = np.arange(plans.MAX_STOPS) < core.worlds.state[..., plans.COUNT, None]
        dead = core.worlds.codes[..., plans.PICKED_AT] == plans.DEAD
        passes |= (dead & planned).any(axis=(1, 2))
        for row in np.flatnonzero(core.out.terminated & ~done):
            kpis = dict(zip(KPI_NAMES, core.out.final_kpis[row].tolist(), strict=True))
            days.append(played(core.worlds, row, kpis, prices, bool(passes[row])))
        done |= core.out.terminated
        for row in np.flatnonzero(done):  # it waits for the others: only waiting is left
            core.out.mask[row] = False
            core.out.mask[row, 0] = True
    del obs, info
    return days


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("preset", ["clinic-day", "city"])
def test_days_hold_when_they_are_driven_again(name, preset):
    days = finished(name, 6, seed=40, preset=preset)
    for day in days:
        assert check(day).faults == []
    assert sum(ride.status == "served" for day in days for ride in day.rides) > 60


@pytest.mark.parametrize(
    "args",
    [
        {"replan": False},
        {"delay_minutes": 3.0},
        {"tightness": 1.5, "answer_limit": 90.0},
        {"freeze": 60.0, "move_worth": 0.0},
        ROUGH,
    ],
)
def test_days_hold_whatever_is_switched_on(args):
    for day in finished("expert:dispatch-regret:3:slack", 6, seed=9, preset="clinic-day", **args):
        assert check(day).faults == []


def rich(count, seed):
    return [rich_day(seed + k, **CALM) for k in range(count)]


@pytest.mark.parametrize("args", [{}, ROUGH])
def test_rich_days_hold(args):
    days = finished(
        "expert:dispatch-regret:3:slack", 6, seed=6, preset="clinic-day", instances=rich(6, 20),
        **args,
    )  # fmt: skip
    for day in days:
        assert check(day).faults == []
    assert any(day.broke for day in days) == bool(args)


def test_the_checker_sees_what_rough_and_rich_days_forbid():
    name = "expert:dispatch-insertion"
    days = finished(name, 6, seed=6, preset="clinic-day", instances=rich(6, 40), **ROUGH)

    def faults(change):
        return [fault for day in days for fault in check(replace(day, **change(day))).faults]

    def bookings(day, **columns):
        return {"day": replace(day.day, bookings=replace(day.day.bookings, **columns))}

    assert faults(lambda _: {}) == []
    slower = faults(lambda day: {"speed": 0.5 * day.speed})
    assert any("too early" in fault for fault in slower)
    parking = faults(lambda day: {"halt": 30.0})
    assert any("too early" in fault for fault in parking)
    noon = faults(lambda day: {"broke": dict.fromkeys(range(4), (660.0, 720.0))})
    assert any("broken vehicle" in fault for fault in noon)
    alone = faults(lambda day: bookings(day, alone=np.ones(len(day.rides), np.bool_)))
    assert any("beside one who rides alone" in fault for fault in alone)
    able = faults(lambda day: bookings(day, needs=np.full(len(day.rides), 128)))
    assert any("has not the skills" in fault for fault in able)


def test_the_checker_sees_what_cannot_be():
    (day,) = finished("expert:dispatch-insertion", 1, seed=3, preset="clinic-day")
    assert check(day).faults == []
    served = [k for k, ride in enumerate(day.rides) if ride.status == "served"]
    k = served[0]

    def with_ride(k=k, **changes):
        rides = list(day.rides)
        rides[k] = replace(rides[k], **changes)
        return check(replace(day, rides=rides)).faults

    early = with_ride(boards=day.rides[k].boards - 30.0, minutes=day.rides[k].minutes + 30.0)
    assert any("too early" in fault or "before its window" in fault for fault in early)
    # Another driver than the one who went: he would have to be at two doors, or overfull.
    elsewhere = [with_ride(j, driver=(day.rides[j].driver + 1) % 4) for j in served]
    assert sum(any("driver" in fault for fault in faults) for faults in elsewhere) > len(served) / 2
    assert all(any("km: reckoned" in fault for fault in faults) for faults in elsewhere)
    assert any("rejected: reckoned" in fault for fault in with_ride(status="rejected"))
    assert any("answer: reckoned" in fault for fault in with_ride(told=day.rides[k].told + 20.0))
    cramped = replace(day.day.drivers, seats=np.zeros_like(day.day.drivers.seats))
    faults = check(replace(day, day=replace(day.day, drivers=cramped))).faults
    assert any("on board" in fault for fault in faults)
    slow = replace(day.day.travel, speed_kmh=day.day.travel.speed_kmh / 3)
    faults = check(replace(day, day=replace(day.day, travel=slow))).faults
    assert any("too early" in fault for fault in faults)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preset"),
    [(name, preset) for name in POLICIES for preset in ("clinic-day", "city", "metro")
     if (name, preset) != ("random", "metro")],  # one that moves at random never gets to its end
)  # fmt: skip
def test_five_hundred_days_hold(name, preset):
    batch = 20 if preset == "metro" else 100
    checked = 0
    for seed in range(0, 500, batch):
        for day in finished(name, batch, seed=100_000 + seed, preset=preset):
            assert check(day).faults == []
            checked += 1
    assert checked == 500
