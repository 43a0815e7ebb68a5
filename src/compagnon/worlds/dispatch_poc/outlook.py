"""The observation of trips, compiled: what an assignment earns, and what it leaves in reach.

All of it is counted from what a dispatcher knows: places, rides and open bookings now, and how the
world draws bookings. Nothing of the day's own future is read.
"""

from typing import Final

import numpy as np

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch_poc import constants
from compagnon.worlds.dispatch_poc.arrays import (
    COUNT,
    END,
    LAT,
    LON,
    PRIORITY,
    TAKEN,
    TICK,
    TO_LAT,
    TO_LON,
    WINDOW,
)
from compagnon.worlds.dispatch_poc.fields import PAIR_FIELDS
from compagnon.worlds.dispatch_poc.travel import demand, minutes_a_km

A_SIDE: Final = 6  # the box is looked at on a grid of so many places a side
HELD_UP: Final = 10.0  # minutes that a booking to come is taken to wait for its turn
ENDS_SOON: Final = 15.0  # minutes by which a driver with all his rides is taken to be further off
SOFT: Final = 4.0  # minutes of slack by which an open booking is as good as safe
_NOBODY: Final = 1e6  # minutes, of a way that no driver goes
_KM_NORTH: Final = constants.EARTH_KM * np.pi / 180.0
_KM_EAST: Final = _KM_NORTH * np.cos(constants.CENTRE_LAT * np.pi / 180.0)


@cached_njit(inline="always")
def _flat_km(lat, lon, to_lat, to_lon):
    """Kilometres in the plane: within 0.2 % of the haversine here, and quicker."""
    north, east = (to_lat - lat) * _KM_NORTH, (to_lon - lon) * _KM_EAST
    return np.sqrt(north * north + east * east)


@cached_njit(inline="always")
def _longer(low, high, minutes):
    """The share of windows of low, low + 1, ... high minutes that are at least so long."""
    return min(1.0, max(0.0, (high + 1.0 - minutes) / (high + 1.0 - low)))


@cached_njit(inline="always")
def urgent_share(minutes):
    """The share of urgent bookings to come that someone so far away still reaches."""
    return _longer(constants.URGENT_WINDOW[0], constants.URGENT_WINDOW[1], minutes + HELD_UP)


@cached_njit(inline="always")
def other_share(minutes):
    """The share of the other bookings to come that someone so far away still reaches."""
    return _longer(constants.WINDOW[0], constants.WINDOW[1], minutes + HELD_UP)


@cached_njit(inline="always")
def _further(load):
    return ENDS_SOON if load >= constants.MAX_LOAD else 0.0


@cached_njit(inline="always")
def _kept(left, minutes):
    """How safe an open booking is with a driver so far away, 0 to 1."""
    if left <= 0.0:
        return 0.0
    return 1.0 / (1.0 + np.exp((minutes + SOFT - left) / SOFT))


@cached_njit(inline="always")
def reward_of(km, minutes, priority, window):
    """Points for an assignment in time; what it loses by coming late is not counted here."""
    reward = constants.ASSIGNED
    if km < constants.NEAR_KM:
        reward += constants.NEAR
    if priority >= constants.URGENT:
        reward += constants.URGENT_BONUS
    if minutes < 0.5 * window:
        reward += constants.PROMPT
    return reward


@cached_njit
def write_trips(
    state, places, load, order, shown, bookings, km, ticks, a_km, scale, obs, mask, at
):  # fmt: skip
    """Write what `observation="trips"` shows beyond the published fields.

    Args:
        ticks: of the day. a_km: minutes a kilometre, now. at: the first of these columns.
        mask: (D M + 1,), what is possible.
    """
    drivers, slots = load.shape[0], bookings.shape[0]
    for rank in range(state[COUNT]):
        j = shown[rank]
        obs[at + 3 * rank] = bookings[j, TO_LAT] * scale[at + 3 * rank]
        obs[at + 3 * rank + 1] = bookings[j, TO_LON] * scale[at + 3 * rank + 1]
        obs[at + 3 * rank + 2] = bookings[j, WINDOW] * scale[at + 3 * rank + 2]
    at += 3 * slots
    obs[at] = demand(state[TICK] + 1) * scale[at]
    obs[at + 1] = (ticks - state[TICK]) * scale[at + 1]
    at += 2
    for rank in range(state[COUNT]):
        left = bookings[shown[rank], END] - state[TICK] * constants.TICK_MINUTES
        for place in range(drivers):
            if mask[1 + place * slots + rank]:
                pair = at + PAIR_FIELDS * (place * slots + rank)
                minutes = km[shown[rank], order[place]] * a_km
                obs[pair] = 1.0
                obs[pair + 1] = minutes * scale[pair + 1]
                obs[pair + 2] = (left - minutes) * scale[pair + 2]
    _write_outlook(
        state, places, load, order, shown, bookings, km, a_km, mask, scale, obs, at + 3,
        PAIR_FIELDS,
    )  # fmt: skip


@cached_njit
def _write_outlook(
    state, places, load, order, shown, bookings, km, believed, mask, scale, obs, at, columns
):  # fmt: skip
    """Write `reward`, `reach`, `reach_urgent`, `reach_twice`, `others` of each possible pair.

    Args:
        believed: minutes a kilometre, now.
        mask: (D M + 1,), what is possible.
        at: the column of the first pair's `reward`. columns: fields a pair.
    """
    drivers, slots, count = load.shape[0], bookings.shape[0], state[COUNT]
    if not mask[1:].any():
        return
    a_km = minutes_a_km(state[TICK] + 1)
    next_tick = (state[TICK] + 1) * constants.TICK_MINUTES
    # The three drivers who are nearest to each place of the grid, and to each open booking.
    squares = A_SIDE * A_SIDE
    lat, lon = np.empty(squares), np.empty(squares)
    near, who = np.empty((squares, 3)), np.empty((squares, 2), np.int64)
    now = np.zeros(3)
    for g in range(squares):
        lat[g] = constants.REACH * ((2 * (g // A_SIDE) + 1) / A_SIDE - 1.0)
        lon[g] = constants.REACH * ((2 * (g % A_SIDE) + 1) / A_SIDE - 1.0)
        near[g, :] = _NOBODY
        who[g, :] = -1
        for d in range(drivers):
            minutes = _flat_km(places[d, 0], places[d, 1], lat[g], lon[g]) * a_km
            _insert(near[g], who[g], minutes + _further(load[d]), d)
        now[0] += other_share(near[g, 0])
        now[1] += urgent_share(near[g, 0])
        now[2] += urgent_share(near[g, 1])
    board, whose = np.full((count, 3), _NOBODY), np.full((count, 2), -1)
    safe = 0.0
    for j in range(count):
        if bookings[j, TAKEN] > 0.0:
            continue
        for d in range(drivers):
            _insert(board[j], whose[j], km[j, d] * a_km + _further(load[d]), d)
        safe += _kept(bookings[j, END] - next_tick, board[j, 0])
    after = np.empty(3)
    for rank in range(count):
        j = shown[rank]
        to_lat, to_lon = bookings[j, TO_LAT], bookings[j, TO_LON]
        for place in range(drivers):
            if not mask[1 + place * slots + rank]:
                continue
            d = order[place]
            further = _further(load[d] + 1)
            after[:] = 0.0
            for g in range(squares):
                first, second = near[g, 0], near[g, 1]
                if who[g, 0] == d:
                    first, second = second, near[g, 2]
                elif who[g, 1] == d:
                    second = near[g, 2]
                minutes = _flat_km(to_lat, to_lon, lat[g], lon[g]) * a_km + further
                if minutes < first:
                    first, second = minutes, first
                elif minutes < second:
                    second = minutes
                after[0] += other_share(first)
                after[1] += urgent_share(first)
                after[2] += urgent_share(second)
            others = 0.0
            for k in range(count):
                if k == j or bookings[k, TAKEN] > 0.0:
                    continue
                best = board[k, 1] if whose[k, 0] == d else board[k, 0]
                there = _flat_km(to_lat, to_lon, bookings[k, LAT], bookings[k, LON])
                minutes = min(best, there * a_km + further)
                others += _kept(bookings[k, END] - next_tick, minutes)
            column = at + columns * (place * slots + rank)
            minutes = km[j, d] * believed
            obs[column] = scale[column] * reward_of(
                km[j, d], minutes, bookings[j, PRIORITY], bookings[j, WINDOW]
            )
            for part in range(3):
                obs[column + 1 + part] = scale[column + 1 + part] * (
                    (after[part] - now[part]) / squares
                )
            obs[column + 4] = scale[column + 4] * (others - safe)


@cached_njit(inline="always")
def _insert(near, who, minutes, driver):
    """Put a driver among the three nearest, of whom the first two are known by number."""
    if minutes < near[0]:
        near[2], near[1], near[0] = near[1], near[0], minutes
        who[1], who[0] = who[0], driver
    elif minutes < near[1]:
        near[2], near[1] = near[1], minutes
        who[1] = driver
    elif minutes < near[2]:
        near[2] = minutes
