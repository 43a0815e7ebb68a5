"""Legs by hand, against the textbook formula, and first in first out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.worlds.dispatch import travel

EVEN = np.ones(24)


def roads(kind, points, per_km=2.0, detour=1.0, speed=EVEN):
    points = np.array(points, float)
    xyz = np.zeros((len(points), 3))
    travel.write_xyz(kind, points, xyz)
    none = np.zeros((1, 1))
    place = np.arange(len(points), dtype=np.int32)
    return travel.Roads(xyz, place, rule(kind, per_km, detour), speed, speed, none, none)


def rule(kind, per_km, detour, halt=0.0):
    found = np.zeros(travel.RULE_COLUMNS)
    found[[travel.KIND, travel.MINUTES_PER_KM, travel.KM_FACTOR]] = kind, per_km, detour
    found[travel.HALT] = halt
    return found


def haversine(a, b):
    (p, q), (r, s) = np.radians(a), np.radians(b)
    h = math.sin((r - p) / 2) ** 2 + math.cos(p) * math.cos(r) * math.sin((s - q) / 2) ** 2
    return 2 * travel.EARTH_KM * math.asin(math.sqrt(h))


@settings(deadline=None)
@given(st.tuples(st.floats(-80, 80), st.floats(-179, 179)), st.floats(-9, 9), st.floats(-9, 9))
def test_distance_on_the_sphere_is_haversine(a, north, east):
    b = (a[0] + north, a[1] + east)
    way = roads(travel.SPHERE, [a, b])
    assert travel.straight_km(way, 0, 1) == pytest.approx(haversine(a, b), rel=1e-6, abs=1e-6)


def test_plane_and_matrix_by_hand():
    way = roads(travel.PLANE, [(0, 0), (3, 4)], per_km=2.0, detour=1.5)
    assert travel.base_minutes(way, 0, 1) == 10.0
    assert travel.road_km(way, 0, 1) == 7.5
    one_way = np.array([[0.0, 7.0], [9.0, 0.0]])
    matrix = way._replace(rule=rule(travel.MATRIX, 0.0, 1.0), minutes=one_way, km=one_way / 2)
    assert travel.base_minutes(matrix, 0, 1) == 7.0
    assert travel.road_km(matrix, 1, 0) == 4.5


def test_a_leg_over_a_change_of_speed_by_hand():
    speed = EVEN.copy()
    speed[9] = 0.5
    # 8:50 to 9:00 covers 10 of 20 base minutes, the other 10 take 20 minutes
    assert travel.arrival(speed, 530.0, 20.0) == 560.0
    assert travel.departure(speed, 560.0, 20.0) == 530.0
    assert travel.arrival(speed, 540.0, 30.0) == 600.0
    assert travel.departure(speed, 600.0, 30.0) == 540.0


@settings(deadline=None)
@given(
    st.lists(st.floats(0.3, 2), min_size=24, max_size=24),
    st.floats(0, 1500),
    st.floats(0, 300),
    st.floats(0, 30),
)
def test_first_in_first_out_and_departure_is_the_inverse(speed, leave, base, later):
    speed = np.array(speed)
    arrive = travel.arrival(speed, leave, base)
    assert travel.arrival(speed, leave + later, base) >= arrive - 1e-9
    assert travel.departure(speed, arrive, base) == pytest.approx(leave, abs=1e-6)
