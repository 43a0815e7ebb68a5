"""A minute is a minute, also in the nights in which the clocks change."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.clock import Clock, minute_of
from compagnon.worlds.dispatch.importing.reach import changes_clocks
from tests.worlds.dispatch.importing.files import read

PARIS = ZoneInfo("Europe/Paris")
HEAD = (
    "id,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon,seats,pickup_from,pickup_to,dropoff_to,"
    "max_ride\n"
)
FLEET_HEAD = "id,shift_start,shift_end,start_lat,start_lon,seats\n"


def one(folder, begin, until, latest, day, shift=("00:00", "08:00")):
    """A ride of about 32 minutes from 46.2 to 46.3 at 30 km/h, in a night of Paris."""
    cells = [f"{day}T{t}" if t else "" for t in (begin, until, latest)]
    rides = f"{HEAD}x,46.2,6.14,46.3,6.14,ambulatory,{','.join(cells)},\n"
    fleet = f"{FLEET_HEAD}d,{day}T{shift[0]},{day}T{shift[1]},46.2,6.14,ambulatory\n"
    return read(folder, rides, fleet, zone="Europe/Paris")


def test_a_ride_does_not_fit_into_the_hour_that_the_clocks_skip(tmp_path):
    """From 01:45 to 03:10 the clock shows 85 minutes; 25 pass."""
    with pytest.raises(InputError, match=r"dropoff_to.* is before the ride can end: .* 03:12 or l"):
        one(tmp_path, "01:45", "01:50", "03:10", "2026-03-29")
    ordinary = one(tmp_path, "01:45", "01:50", "03:10", "2026-03-28")
    assert (ordinary.faults, ordinary.bookings) == ((), 1)


def test_a_ride_in_the_hour_that_comes_twice_ends_after_it_begins(tmp_path):
    """From 02:50 to 02:40, an hour later by every watch: 50 minutes."""
    autumn = one(tmp_path, "02:50", "02:55", "02:40", "2026-10-25")
    assert autumn.faults == ()
    b = autumn.days[0].bookings
    assert b.dropoff_to[0] - b.pickup_from[0] == 50.0
    with pytest.raises(InputError, match="is before the pickup"):
        one(tmp_path, "02:50", "02:55", "02:40", "2026-10-24")


def test_offsets_in_the_file_say_which_of_the_two_hours(tmp_path):
    def with_offsets(begin, latest):
        rides = f"{HEAD}x,46.2,6.14,46.3,6.14,ambulatory,{begin},,{latest},\n"
        fleet = f"{FLEET_HEAD}d,2026-10-25T00:00+02:00,2026-10-25T08:00+01:00,46.2,6.14,ambulatory"
        b = read(tmp_path, rides, fleet + "\n", zone="Europe/Paris").days[0].bookings
        return b.dropoff_to[0] - b.pickup_from[0]

    assert with_offsets("2026-10-25T02:10+02:00", "2026-10-25T02:55+01:00") == 105.0
    assert with_offsets("2026-10-25T02:10+01:00", "2026-10-25T02:55+01:00") == 45.0


@pytest.mark.parametrize(
    ("day", "when", "minute"),
    [
        ("2026-03-29", "2026-03-29T01:30", 90.0),
        ("2026-03-29", "2026-03-29T08:00", 420.0),
        ("2026-03-28", "2026-03-29T03:30", 1440.0 + 150.0),  # the night that a Saturday ends with
        ("2026-10-25", "2026-10-25T00:30", 30.0),
        ("2026-10-25", "2026-10-25T08:00", 540.0),
        ("2026-07-01", "2026-07-01T00:30", 30.0),
    ],
)
def test_minutes_are_those_that_pass_since_midnight(day, when, minute):
    read_as = Clock(PARIS, zoned=False).read(when)
    assert minute_of(read_as, date.fromisoformat(day)) == minute


def test_the_rush_hour_keeps_to_the_clock(tmp_path):
    hours = {day: one(tmp_path, "08:00", "09:00", "", day, ("07:00", "18:00")).days[0].travel.speed
             for day in ("2026-03-28", "2026-03-29", "2026-10-25")}  # fmt: skip
    usual = hours["2026-03-28"]
    assert hours["2026-03-29"].tolist() == [*usual[:2], *usual[3:], usual[0]]
    assert hours["2026-10-25"].tolist() == [*usual[:3], usual[2], *usual[3:23]]


def test_faults_say_the_time_that_the_clock_shows(tmp_path):
    late = one(tmp_path, "19:00", "19:30", "", "2026-03-29", ("08:00", "18:00"))
    assert "(08:00 to 18:00)" in late.unservable[0].fault


def test_without_a_zone_the_clock_on_the_wall_counts():
    when = Clock(None, zoned=True).read("2026-03-29T03:30+01:00")
    assert when == datetime(2026, 3, 29, 3, 30)
    assert minute_of(when, date(2026, 3, 29)) == 210.0


def test_days_of_zones_that_share_a_midnight_are_told_apart():
    """Algiers and Paris are at one in winter, and Paris puts its clocks forward."""
    day = date(2026, 3, 29)
    zones = ZoneInfo("Africa/Algiers"), PARIS
    assert [changes_clocks(day, zone) for zone in zones] == [False, True]
    noon = [datetime(2026, 3, 29, 12, tzinfo=zone) for zone in zones]
    assert [minute_of(when, day) for when in noon] == [720.0, 660.0]
