"""Days drawn from a seed: patients and others who ride to clinics and back, and a fleet for them.

Everything is drawn before the day begins, so every policy meets the same requests, delays,
cancellations and no-shows. A town (clinics and neighbourhoods) stays the same from day to day.
"""

from typing import Final, NamedTuple

import numpy as np

from compagnon.envs import streams
from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import tables, travel
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import FOLD_SEATS, SEATS

LATITUDE, LONGITUDE = 46.2044, 6.1432  # Geneva, as good a centre as any
KM_PER_DEGREE = 111.195
DETOUR = 1.3  # road km a straight km
MAX_DELAY = 6.0
# Relative speed by hour of the day: slow from 7 to 9 and from 16 to 18, fast at night.
SPEED: Final = np.array(
    [1.2, 1.2, 1.2, 1.2, 1.2, 1.15, 1.0, 0.8, 0.72, 0.85, 0.95, 0.95,
     0.88, 0.9, 0.95, 0.92, 0.8, 0.72, 0.82, 0.95, 1.05, 1.1, 1.15, 1.2]
)  # fmt: skip
# Ambulatory, wheelchair, stretcher, companion seats: van, car, van, ambulance, van, and again.
FLEET: Final = np.array(
    [[2, 2, 0, 2], [3, 0, 0, 1], [2, 2, 0, 2], [1, 1, 1, 1], [2, 2, 0, 2]], np.float64
)
BOARDING: Final = np.array([3.0, 6.0, 10.0])  # by the rider's own seat type
ALIGHTING: Final = np.array([2.0, 4.0, 8.0])
TREATMENTS: Final = np.array([30.0, 45.0, 60.0, 60.0, 90.0, 120.0, 240.0])

# Random streams of a town, and of a day; the index is the clinic, the person or the driver.
(_TOWN_CLINICS, _TOWN_HOODS) = 101, 103
(
    _COUNT, _KIND, _HOME, _CLINIC, _WHEN, _TREATMENT, _MOBILITY, _COMPANION, _ROUND, _ADVANCE,
    _ON_CALL, _NO_SHOW, _CANCELS, _CANCEL_AT, _PRIORITY, _SHIFT, _DEPOT, _DELAY, _OTHER,
) = range(1, 20)  # fmt: skip


class Preset(NamedTuple):
    """The size and habits of a fleet's day."""

    drivers: int
    rides: int  # on average, at tightness 1
    clinics: int
    radius_km: float
    speed_kmh: float  # at relative speed 1
    round_trips: float  # share of the people who ride to a clinic and back
    to_clinics: float  # share of the people who ride to a clinic at all
    in_advance: float  # share of the outbound rides that are known the day before
    on_call: float  # share of the returns that are announced when the patient is ready


class Habits(NamedTuple):
    """What can be chosen about a generated day besides its preset."""

    tightness: float  # rides are multiplied by it, and windows divided
    delay_minutes: float  # mean extra minutes at a door
    no_show: float  # probability
    cancel: float  # probability
    town: int  # which town


PRESETS: Final = {
    "clinic-day": Preset(4, 40, 2, 10.0, 38.0, 0.84, 1.0, 0.8, 0.5),
    "city": Preset(10, 100, 6, 9.0, 30.0, 0.75, 0.88, 0.7, 0.5),
    "metro": Preset(50, 600, 20, 14.0, 34.0, 0.7, 0.85, 0.65, 0.5),
}


def max_bookings(preset: Preset, tightness: float) -> int:
    """How many rides a day may have at most."""
    return int(np.ceil(1.1 * preset.rides * tightness))


def generate(
    preset: str,
    seed: int,
    *,
    tightness: float = 1.0,
    delay_minutes: float = 1.0,
    no_show: float = 0.03,
    cancel: float = 0.05,
    town: int = 0,
) -> Instance:
    """The day that an episode with this episode seed is made of; arguments as in `DispatchEnv`."""
    habits = Habits(tightness, delay_minutes, no_show, cancel, town)
    size = PRESETS[preset]
    days = tables.allocate_days(1, max_bookings(size, tightness), size.drivers)
    day = tables.day_row(days, 0)
    draw_day(np.uint64(seed), size, habits, day)
    return tables.read_instance(f"{preset} {seed}", day)


@kernel
def _put(point, radius, u, v):
    """A point uniform in the disc of `radius` km around the centre."""
    distance = radius * np.sqrt(u)
    _place(point, distance * np.cos(2.0 * np.pi * v), distance * np.sin(2.0 * np.pi * v))


@kernel
def _place(point, east, north):
    point[0] = LATITUDE + north / KM_PER_DEGREE
    point[1] = LONGITUDE + east / (KM_PER_DEGREE * np.cos(np.radians(LATITUDE)))


@kernel
def _draw_clinic(town, which, preset, point):
    u = streams.uniform(town, _TOWN_CLINICS, 2 * which)
    _put(point, 0.7 * preset.radius_km, u, streams.uniform(town, _TOWN_CLINICS, 2 * which + 1))


@kernel
def _draw_home(seed, town, index, preset, point):
    """Seven in ten live around one of the neighbourhoods, the others anywhere."""
    u = streams.uniform(seed, _HOME, 4 * index)
    v, w = streams.uniform(seed, _HOME, 4 * index + 1), streams.uniform(seed, _HOME, 4 * index + 2)
    if u >= 0.7:
        _put(point, preset.radius_km, v, w)
        return
    hood = int(u / 0.7 * 2 * preset.clinics)
    _put(
        point,
        0.85 * preset.radius_km,
        streams.uniform(town, _TOWN_HOODS, 2 * hood),
        streams.uniform(town, _TOWN_HOODS, 2 * hood + 1),
    )
    spread = 0.12 * preset.radius_km * np.sqrt(-2.0 * np.log(1.0 - 0.99 * v))
    point[0] += spread * np.sin(2.0 * np.pi * w) / KM_PER_DEGREE
    point[1] += spread * np.cos(2.0 * np.pi * w) / (
        KM_PER_DEGREE * np.cos(np.radians(LATITUDE))
    )  # fmt: skip


@kernel
def _flat_km(a, b):
    north = (a[0] - b[0]) * KM_PER_DEGREE
    east = (a[1] - b[1]) * KM_PER_DEGREE * np.cos(np.radians(LATITUDE))
    return np.sqrt(north * north + east * east)


@kernel
def _appointment(seed, person, treatment):
    """Minute of an appointment, on a quarter of an hour, most in the morning or after lunch."""
    u = streams.uniform(seed, _WHEN, 3 * person)
    v, w = (
        streams.uniform(seed, _WHEN, 3 * person + 1),
        streams.uniform(seed, _WHEN, 3 * person + 2),
    )
    if u < 0.45:
        minute = 555.0 + 55.0 * streams.normal(v, w)
    elif u < 0.85:
        minute = 825.0 + 65.0 * streams.normal(v, w)
    else:
        minute = 480.0 + 500.0 * v
    minute = max(465.0, min(minute, 1020.0 - treatment))
    return 15.0 * np.floor(minute / 15.0)


@kernel
def _write_rider(seed, person, ride, habits, row):
    """Seats, minutes at the door, no-show and delays of one ride of a person."""
    u = streams.uniform(seed, _MOBILITY, person)
    kind = 0 if u < 0.7 else 1 if u < 0.97 else 2
    for seat in range(4):
        row[tables.LOAD + seat] = 0.0
    row[tables.LOAD + kind] = 1.0
    row[tables.LOAD + 3] = 1.0 if streams.uniform(seed, _COMPANION, person) < 0.2 else 0.0
    row[tables.BOARDING], row[tables.ALIGHTING] = BOARDING[kind], ALIGHTING[kind]
    row[tables.NO_SHOW] = 1.0 if streams.uniform(seed, _NO_SHOW, ride) < habits.no_show else 0.0
    for end in range(2):
        u = streams.uniform(seed, _DELAY, 2 * ride + end)
        delay = -habits.delay_minutes * np.log(1.0 - u)
        row[tables.BOARDING_DELAY + end] = min(MAX_DELAY, delay)
    row[tables.LINKED_TO] = -1.0
    row[tables.CANCEL] = np.inf
    return kind


@kernel
def _maybe_cancel(seed, ride, habits, row):
    """A late cancellation comes between the announcement and the pickup window."""
    if streams.uniform(seed, _CANCELS, ride) < habits.cancel:
        begin = max(row[tables.ANNOUNCE], row[tables.PICKUP_FROM] - 240.0)
        share = streams.uniform(seed, _CANCEL_AT, ride)
        row[tables.CANCEL] = begin + share * max(0.0, row[tables.PICKUP_FROM] - begin)


@kernel
def _announce(seed, ride, preset, row):
    """In advance, or one to three hours before the pickup window begins."""
    row[tables.ANNOUNCE] = 0.0
    if streams.uniform(seed, _ADVANCE, 2 * ride) >= preset.in_advance:
        ahead = 60.0 + 120.0 * streams.uniform(seed, _ADVANCE, 2 * ride + 1)
        row[tables.ANNOUNCE] = max(1.0, row[tables.PICKUP_FROM] - ahead)


@kernel
def _write_outbound(seed, town, person, ride, preset, habits, treatment, day):
    """A ride to an appointment at a clinic; returns the minute of the appointment."""
    row, home, clinic = day.bookings[ride], day.coordinates[2 * ride], day.coordinates[2 * ride + 1]
    kind = _write_rider(seed, person, ride, habits, row)
    _draw_home(seed, town, person, preset, home)
    u = streams.uniform(seed, _CLINIC, person)
    # The first clinics are the busiest.
    _draw_clinic(town, int(preset.clinics * u * np.sqrt(u)), preset, clinic)
    base = _flat_km(home, clinic) * DETOUR * 60.0 / preset.speed_kmh
    appointment = _appointment(seed, person, treatment)
    width = 30.0 / habits.tightness
    row[tables.DROPOFF_FROM], row[tables.DROPOFF_TO] = appointment - width, appointment
    begin = appointment - width - 1.4 * base - row[tables.BOARDING]
    row[tables.PICKUP_FROM], row[tables.PICKUP_TO] = 5.0 * np.floor(begin / 5.0), np.inf
    row[tables.MAX_RIDE] = 20.0 + 1.6 * base + 10.0 / habits.tightness
    row[tables.PRIORITY] = 5.0 if kind == 2 else 4.0
    _announce(seed, ride, preset, row)
    return appointment


@kernel
def _write_return(seed, person, ride, ready, preset, habits, day):
    """The way home, at a fixed time or when the patient calls."""
    outbound = day.bookings[ride - 1]
    row = day.bookings[ride]
    kind = _write_rider(seed, person, ride, habits, row)
    for k in range(2):
        day.coordinates[2 * ride, k] = day.coordinates[2 * ride - 1, k]
        day.coordinates[2 * ride + 1, k] = day.coordinates[2 * ride - 2, k]
    row[tables.LINKED_TO] = ride - 1
    row[tables.NO_SHOW] = 0.0
    row[tables.PICKUP_FROM] = ready
    row[tables.DROPOFF_FROM], row[tables.DROPOFF_TO] = -np.inf, np.inf
    row[tables.MAX_RIDE] = outbound[tables.MAX_RIDE]
    row[tables.PRIORITY] = 5.0 if kind == 2 else 3.0
    if streams.uniform(seed, _ON_CALL, person) < preset.on_call:
        row[tables.ANNOUNCE] = ready
        row[tables.PICKUP_TO] = ready + 60.0 / habits.tightness
    else:
        row[tables.ANNOUNCE] = outbound[tables.ANNOUNCE]
        row[tables.PICKUP_TO] = ready + 45.0 / habits.tightness


@kernel
def _write_other(seed, town, person, ride, preset, habits, day):
    """A ride from anywhere to anywhere: shopping, a visit."""
    row = day.bookings[ride]
    _write_rider(seed, person, ride, habits, row)
    _draw_home(seed, town, person, preset, day.coordinates[2 * ride])
    _put(
        day.coordinates[2 * ride + 1],
        0.8 * preset.radius_km,
        streams.uniform(seed, _OTHER, 2 * person),
        streams.uniform(seed, _OTHER, 2 * person + 1),
    )
    straight = _flat_km(day.coordinates[2 * ride], day.coordinates[2 * ride + 1])
    base = straight * DETOUR * 60.0 / preset.speed_kmh
    begin = 5.0 * np.floor((480.0 + 510.0 * streams.uniform(seed, _WHEN, 3 * person)) / 5.0)
    row[tables.PICKUP_FROM], row[tables.PICKUP_TO] = begin, begin + 45.0 / habits.tightness
    row[tables.DROPOFF_FROM], row[tables.DROPOFF_TO] = -np.inf, np.inf
    row[tables.MAX_RIDE] = 20.0 + 1.6 * base + 10.0 / habits.tightness
    row[tables.PRIORITY] = 1.0 + np.floor(2.0 * streams.uniform(seed, _PRIORITY, person))
    _announce(seed, ride, preset, row)


@kernel
def _write_driver(seed, driver, preset, nodes, day):
    """Shifts of nine and a half hours, the first from about 6:15, the last from about 9:15."""
    row = day.drivers[driver]
    share = driver / max(1, preset.drivers - 1)
    start = 375.0 + 180.0 * share + 15.0 * np.floor(2.0 * streams.uniform(seed, _SHIFT, driver))
    row[tables.SHIFT_START], row[tables.SHIFT_END] = start, start + 570.0
    row[tables.BREAK_FROM], row[tables.BREAK_TO] = start + 210.0, start + 330.0
    row[tables.BREAK_MINUTES] = 30.0
    for seat in range(4):
        row[tables.SEAT + seat] = FLEET[driver % len(FLEET), seat]
    row[tables.SEAT + SEATS], row[tables.FOLD_SEATS] = tables.COMPANY, FOLD_SEATS
    point = day.coordinates[nodes + 2 * driver]
    u, v = streams.uniform(seed, _DEPOT, 2 * driver), streams.uniform(seed, _DEPOT, 2 * driver + 1)
    _put(point, 0.8 * preset.radius_km, u, v)
    for k in range(2):
        day.coordinates[nodes + 2 * driver + 1, k] = point[k]


@kernel
def draw_day(seed, preset, habits, day):
    """Write the day of episode seed `seed` (uint64) into one day's tables, all 0 before."""
    town = streams.mix(np.uint64(habits.town) ^ np.uint64(0x70776E))
    spread = 0.9 + 0.2 * streams.uniform(seed, _COUNT, 0)
    wanted = int(spread * preset.rides * habits.tightness)
    wanted = max(1, min(wanted, day.bookings.shape[0]))
    ride, person = 0, 0
    while ride < wanted:
        if streams.uniform(seed, _KIND, person) < preset.to_clinics:
            u = streams.uniform(seed, _TREATMENT, person)
            treatment = TREATMENTS[int(u * len(TREATMENTS))]
            when = _write_outbound(seed, town, person, ride, preset, habits, treatment, day)
            ride += 1
            if ride < wanted and streams.uniform(seed, _ROUND, person) < preset.round_trips:
                _write_return(seed, person, ride, when + treatment, preset, habits, day)
                _maybe_cancel(seed, ride, habits, day.bookings[ride])
                ride += 1
                _maybe_cancel(seed, ride - 2, habits, day.bookings[ride - 2])
            else:
                _maybe_cancel(seed, ride - 1, habits, day.bookings[ride - 1])
        else:
            _write_other(seed, town, person, ride, preset, habits, day)
            _maybe_cancel(seed, ride, habits, day.bookings[ride])
            ride += 1
        person += 1
    for driver in range(preset.drivers):
        _write_driver(seed, driver, preset, 2 * day.bookings.shape[0], day)
    day.size[tables.BOOKINGS], day.size[tables.DRIVERS] = ride, preset.drivers
    day.size[tables.MATRIX_ROW] = 0
    day.rule[travel.KIND] = travel.SPHERE
    day.rule[travel.MINUTES_PER_KM] = 60.0 * DETOUR / preset.speed_kmh
    day.rule[travel.KM_FACTOR] = DETOUR
    day.rule[travel.MIDDLE], day.rule[travel.MIDDLE + 1] = LATITUDE, LONGITUDE
    for hour in range(travel.HOURS):
        day.speed[hour] = SPEED[hour]
