"""The one travel-time function: dynamics, masks and expected arrivals all ask it.

A leg has a length in *base minutes*: the minutes it takes at relative speed 1. The hour's relative
speed then says how long it takes on the clock. Speed changes at full hours, also on the way, so
leaving later never means arriving earlier (Ichoua, Gendreau and Potvin 2003).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import kernel, kernel_inline

EARTH_KM: Final = 6371.0088
SPHERE, PLANE, MATRIX = 0, 1, 2
KINDS: Final = ("sphere", "plane", "matrix")
HOURS: Final = 24
# Columns of Roads.rule.
KIND, MINUTES_PER_KM, KM_FACTOR, MIDDLE = 0, 1, 2, 3  # MIDDLE: two coordinates
HALT = 5  # base minutes that a way to another place takes longer, for parking there
RULE_COLUMNS = 6
_AN_HOUR = 1.0 / 60.0  # a product is a guess, put right by comparing; to divide takes longer


class Roads(NamedTuple):
    """The ways between the nodes of one day."""

    xyz: NDArray[np.float64]  # (nodes, 3), km from the earth's centre, or (x, y, 0) on a plane
    place: NDArray[np.int32]  # (nodes,), row of the matrices; read by `matrix` alone
    rule: NDArray[np.float64]  # (RULE_COLUMNS,): the kind, base minutes and road km a straight km,
    # and the coordinates of the middle of the map; with `matrix` base minutes a road km, and 1;
    # minutes of parking
    speed: NDArray[np.float64]  # (24,), relative speed by hour of the day, as plans expect it
    speed_real: NDArray[np.float64]  # (24,), and as it will be; read where a driver sets out
    minutes: NDArray[np.float64]  # (places, places), base minutes; read by `matrix` alone
    km: NDArray[np.float64]  # (places, places), road km; read by `matrix` alone


@kernel
def write_xyz(kind, coordinates, xyz):
    """Turn degrees (latitude, longitude) or plane km (x, y) into points in space, in km."""
    for k in range(coordinates.shape[0]):
        if kind == PLANE:
            xyz[k, 0] = coordinates[k, 0]
            xyz[k, 1] = coordinates[k, 1]
            xyz[k, 2] = 0.0
        else:
            latitude = np.radians(coordinates[k, 0])
            longitude = np.radians(coordinates[k, 1])
            xyz[k, 0] = EARTH_KM * np.cos(latitude) * np.cos(longitude)
            xyz[k, 1] = EARTH_KM * np.cos(latitude) * np.sin(longitude)
            xyz[k, 2] = EARTH_KM * np.sin(latitude)


@kernel
def write_near(rule, coordinates, near):
    """Turn coordinates into km east and north of the middle, for maps and observations."""
    for k in range(coordinates.shape[0]):
        first = coordinates[k, 0] - rule[MIDDLE]
        second = coordinates[k, 1] - rule[MIDDLE + 1]
        if rule[KIND] == PLANE:
            near[k, 0], near[k, 1] = first, second
        else:
            degree = np.pi / 180.0 * EARTH_KM
            near[k, 0] = second * degree * np.cos(np.radians(rule[MIDDLE]))
            near[k, 1] = first * degree


@kernel_inline
def straight_km(roads, a, b):
    """Great-circle (haversine) or straight-line distance between two nodes, in km."""
    dx = roads.xyz[a, 0] - roads.xyz[b, 0]
    dy = roads.xyz[a, 1] - roads.xyz[b, 1]
    dz = roads.xyz[a, 2] - roads.xyz[b, 2]
    chord = np.sqrt(dx * dx + dy * dy + dz * dz)
    if roads.rule[KIND] == PLANE:
        return chord
    half = 0.5 * chord / EARTH_KM
    if half < 0.01:  # 127 km; the series is as good as the arcsine there, and much faster
        square = half * half
        return chord * (1.0 + square * (1.0 / 6.0 + square * 0.075))
    return 2.0 * EARTH_KM * np.arcsin(min(1.0, half))


@kernel_inline
def base_minutes(roads, a, b):
    """Minutes from node `a` to node `b` at relative speed 1, parking there included.

    Parking is paid once at each place, so that going by way of a third one never takes less.
    """
    if roads.rule[KIND] == MATRIX:
        here, there = roads.place[a], roads.place[b]
        return roads.minutes[here, there] + (roads.rule[HALT] if here != there else 0.0)
    km = straight_km(roads, a, b)
    return roads.rule[MINUTES_PER_KM] * km + (roads.rule[HALT] if km > 0.0 else 0.0)


@kernel_inline
def driving(roads, base):
    """The minutes of a leg without those of parking at its end."""
    return max(0.0, base - roads.rule[HALT])


@kernel
def road_km(roads, a, b):
    """Kilometres driven from node `a` to node `b`."""
    if roads.rule[KIND] == MATRIX:
        return roads.km[roads.place[a], roads.place[b]]
    return roads.rule[KM_FACTOR] * straight_km(roads, a, b)


@kernel_inline
def arrival(speed, leave, base):
    """The minute of arrival of a leg of `base` minutes that begins at minute `leave`."""
    hour = int(leave * _AN_HOUR)
    if leave < 60.0 * hour:
        hour -= 1
    elif leave >= 60.0 * (hour + 1):
        hour += 1
    while True:
        relative = speed[hour % HOURS]
        room = (60.0 * (hour + 1) - leave) * relative
        if base <= room:
            return leave + base / relative
        base -= room
        hour += 1
        leave = 60.0 * hour


@kernel_inline
def departure(speed, arrive, base):
    """The latest minute at which a leg of `base` minutes may begin to arrive at `arrive`."""
    hour = int(arrive * _AN_HOUR)
    if arrive <= 60.0 * hour:
        hour -= 1
    elif arrive > 60.0 * (hour + 1):
        hour += 1
    while True:
        relative = speed[hour % HOURS]
        room = (arrive - 60.0 * hour) * relative
        if base <= room:
            return arrive - base / relative
        base -= room
        arrive = 60.0 * hour
        hour -= 1
