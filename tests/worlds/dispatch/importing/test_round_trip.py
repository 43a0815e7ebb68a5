"""What is exported is imported as the same day; variants are made of the same riders."""

import dataclasses
from datetime import date, timedelta
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.importing.export import write_tables
from compagnon.worlds.dispatch.importing.resample import resample_days
from compagnon.worlds.dispatch.importing.tables import (
    Reading,
    check_folder,
    import_tables,
    save_days,
)
from tests.worlds.dispatch.worlds import rich_day

MONDAY = date(2026, 1, 5)


def with_matrix(day):
    """The same day with travel by a matrix that is not symmetric."""
    n = day.travel.places
    minutes = np.arange(n * n, dtype=float).reshape(n, n) % 9 + 1  # within any window
    travel = dataclasses.replace(
        day.travel, kind="matrix", minutes=minutes, km=minutes / 2, speed=np.ones(24)
    )
    return dataclasses.replace(day, travel=travel)


def named(bits, names):
    return [{name for k, name in enumerate(names) if one >> k & 1} for one in bits.tolist()]


def assert_same(day, again):
    for part in ("bookings", "drivers"):
        old, new = getattr(day, part), getattr(again, part)
        for field in dataclasses.fields(old):
            a, b = getattr(old, field.name), getattr(new, field.name)
            if field.name in ("needs", "skills"):
                assert named(a, day.skills) == named(b, again.skills)
                continue
            if field.name in ("pickup", "dropoff", "start", "end"):
                a, b = day.travel.coordinates[a], again.travel.coordinates[b]
            # Times are written to the microsecond.
            np.testing.assert_allclose(a, b, atol=2e-8, err_msg=f"{part}.{field.name}")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=3),
    preset=st.sampled_from(["clinic-day", "city"]),
    tightness=st.floats(0.5, 2.0),
    cancel=st.floats(0, 1),
    no_show=st.floats(0, 1),
)
def test_export_and_import_give_the_same_days(
    tmp_path_factory, seeds, preset, tightness, cancel, no_show
):
    folder = tmp_path_factory.mktemp("days")
    how = {"tightness": tightness, "cancel": cancel, "no_show": no_show}
    days = [generate(preset, seed, **how) for seed in seeds]
    write_tables([(MONDAY + timedelta(k), day) for k, day in enumerate(days)], folder)
    speed = days[0].travel.speed_kmh
    report = import_tables(
        folder / "bookings.csv", folder / "drivers.csv", None, Reading(speed_kmh=speed, strict=True)
    )
    assert [day.name for day in report.days] == [
        (MONDAY + timedelta(k)).isoformat() for k in range(len(days))
    ]
    for day, again in zip(days, report.days, strict=True):
        assert_same(day, again)
        assert again.travel.speed_kmh == pytest.approx(day.travel.speed_kmh)
        assert again.travel.speed.tolist() == day.travel.speed.tolist()


def test_rich_days_come_back_too(tmp_path):
    days = [rich_day(seed) for seed in (3, 4)]
    write_tables([(MONDAY + timedelta(k), day) for k, day in enumerate(days)], tmp_path)
    reading = Reading(speed_kmh=days[0].travel.speed_kmh, strict=True)
    report = import_tables(tmp_path / "bookings.csv", tmp_path / "drivers.csv", None, reading)
    for day, again in zip(days, report.days, strict=True):
        assert_same(day, again)
        assert again.skills == ("child seat", "lift", "oxygen")
    linked = days[0].bookings.linked_to
    assert (linked[linked[linked >= 0]] >= 0).any()  # a trip of three legs


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_matrix_comes_back_too(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("days")
    day = with_matrix(generate("clinic-day", seed))
    write_tables([(MONDAY, day)], folder)
    names = (folder / f"{name}.csv" for name in ("bookings", "drivers", "matrix"))
    (again,) = import_tables(*names, Reading(strict=True)).days
    assert_same(day, again)
    b, c = day.bookings, again.bookings
    for table in ("minutes", "km"):
        old, new = getattr(day.travel, table), getattr(again.travel, table)
        assert old[b.pickup, b.dropoff].tolist() == new[c.pickup, c.dropoff].tolist()


def test_days_that_tables_cannot_hold_are_refused(tmp_path):
    day = generate("clinic-day", 0)
    plane = dataclasses.replace(day, travel=dataclasses.replace(day.travel, kind="plane"))
    with pytest.raises(InputError, match="plane"):
        write_tables([(MONDAY, plane)], tmp_path)
    with pytest.raises(InputError, match="travel times are not those"):
        write_tables([(MONDAY, day), (MONDAY, with_matrix(day))], tmp_path)


def test_the_sample_is_good_and_can_be_played(tmp_path):
    data = files("compagnon.worlds.dispatch") / "data"
    report = import_tables(
        data / "bookings.csv",
        data / "drivers.csv",
        reading=Reading(speed_kmh=38, strict=True),
    )
    assert len(report.days) == 30
    assert report.notes == ()
    save_days(report.days, tmp_path / "days")
    env = DispatchEnv(days=str(tmp_path / "days"), preset="clinic-day")
    _, info = env.reset(seed=4)
    done, rng = False, np.random.default_rng(0)
    while not done:
        _, _, done, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
    assert info["kpis"]["violations"] == 0
    with pytest.raises(InputError, match="not empty"):
        save_days(report.days, tmp_path / "days")
    with pytest.raises(InputError, match="not a folder"):
        check_folder(tmp_path / "days" / "2026-01-05.json")


def riders(day):
    """Each ride as what can be compared: where from, where to, when, and its return's."""
    b, points = day.bookings, day.travel.coordinates
    own = [
        (*points[b.pickup[k]], *points[b.dropoff[k]], b.pickup_from[k], b.cancel[k], *b.load[k])
        for k in range(len(b))
    ]
    back = {int(out): own[row] for row, out in enumerate(b.linked_to) if out >= 0}
    return [(own[k], back.get(k)) for k in range(len(b)) if b.linked_to[k] < 0]


@pytest.mark.parametrize("kind", ["sphere", "matrix"])
def test_a_variant_has_one_days_size_and_fleet_and_riders_of_all(kind):
    days = [generate("clinic-day", seed) for seed in range(4)]
    if kind == "matrix":
        first = with_matrix(days[0])
        later = dataclasses.replace(first.bookings, pickup_from=first.bookings.pickup_from - 5)
        days = [first, dataclasses.replace(first, name="later", bookings=later)]
    variants = resample_days(days, 12, seed=3)
    known = {rider for day in days for rider in riders(day)}
    sizes = {len(riders(day)) for day in days}
    fleets = {tuple(day.drivers.shift_start) for day in days}
    homes = {tuple(day.travel.coordinates[day.drivers.start].ravel()) for day in days}
    for variant in variants:
        assert set(riders(variant)) <= known
        assert len(riders(variant)) in sizes
        assert tuple(variant.drivers.shift_start) in fleets
        assert tuple(variant.travel.coordinates[variant.drivers.start].ravel()) in homes
    assert any(set(riders(v)) - set(riders(day)) for v in variants for day in days)
    again = resample_days(days, 12, seed=3)
    assert [v.to_json() for v in again] == [v.to_json() for v in variants]
    assert resample_days(days, 1, seed=4)[0].to_json() != variants[0].to_json()


def test_trips_are_resampled_whole_and_skills_by_their_names():
    days = [rich_day(seed) for seed in range(3)]
    other = dataclasses.replace(
        days[1], skills=("oxygen", "lift", "child seat"),
        bookings=dataclasses.replace(days[1].bookings, needs=days[1].bookings.needs & 1),
    )  # fmt: skip

    def trips(day):
        b, points = day.bookings, day.travel.coordinates
        found = {}
        for k in np.argsort(b.pickup_from, kind="stable"):
            before = found.pop(int(b.linked_to[k]), ())
            needs = frozenset(named(b.needs[[k]], day.skills)[0])
            found[int(k)] = (*before, (*points[b.pickup[k]], b.pickup_from[k], b.alone[k], needs))
        return set(found.values())

    used = [days[0], other, days[2]]
    known = set().union(*(trips(day) for day in used))
    assert max(map(len, known)) > 2
    for variant in resample_days(used, 6, seed=1):
        assert variant.skills == days[0].skills
        assert trips(variant) <= known


def test_what_cannot_be_resampled_is_refused():
    days = [generate("clinic-day", 0), generate("city", 0)]
    with pytest.raises(InputError, match="different travel times"):
        resample_days(days, 1, 0)
    with pytest.raises(InputError, match="give 1 to"):
        resample_days(days[:1], 0, 0)
    with pytest.raises(InputError, match="nothing to draw from"):
        resample_days([], 1, 0)
