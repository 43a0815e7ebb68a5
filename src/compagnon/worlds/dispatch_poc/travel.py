"""Traffic, demand and distances, compiled: the one travel time of the world, and the mask's."""

import numpy as np

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch_poc import constants

_RADIANS = np.pi / 180.0


@cached_njit(inline="always")
def traffic(tick):
    """Density of the traffic at a tick, 0 to 1."""
    minute = constants.START_HOUR * 60 + tick * constants.TICK_MINUTES
    if (minute >= 480 and minute < 540) or (minute >= 1020 and minute < 1080):
        return constants.RUSH_TRAFFIC
    if minute >= 720 and minute < 840:
        return constants.NOON_TRAFFIC
    return constants.CALM_TRAFFIC


@cached_njit(inline="always")
def demand(tick):
    """Probability that bookings come at a tick."""
    minute = constants.START_HOUR * 60 + tick * constants.TICK_MINUTES
    if (minute >= 480 and minute < 570) or (minute >= 1020 and minute < 1110):
        return constants.RUSH_DEMAND
    if minute >= 720 and minute < 840:
        return constants.NOON_DEMAND
    return constants.CALM_DEMAND


@cached_njit(inline="always")
def minutes_a_km(tick):
    """Minutes that a kilometre takes: the world's travel time."""
    return 60.0 / (constants.FREE_SPEED * (1.0 - constants.TRAFFIC_SLOWS * traffic(tick)))


@cached_njit(inline="always")
def believed_minutes_a_km(tick, faults):
    """Minutes that the mask takes a kilometre for; the original's mask was too hopeful."""
    if faults:
        return 60.0 / constants.FREE_SPEED * (1.0 + constants.TRAFFIC_SLOWS * traffic(tick))
    return minutes_a_km(tick)


@cached_njit(inline="always")
def cosine(lat):
    """Cosine of the latitude `lat` degrees north of the centre."""
    return np.cos((constants.CENTRE_LAT + lat) * _RADIANS)


@cached_njit(inline="always")
def kilometres(lat, lon, cos_lat, to_lat, to_lon, cos_to_lat):
    """Haversine distance between two places given in degrees from the centre.

    Within the box half an angle is below 0.002, where two terms of the series of sine and arcsine
    are exact to eleven digits; unlike the functions, they let the compiler do drivers abreast.
    """
    a = 0.5 * (to_lat - lat) * _RADIANS
    b = 0.5 * (to_lon - lon) * _RADIANS
    a *= 1.0 - a * a / 6.0
    b *= 1.0 - b * b / 6.0
    s = np.sqrt(a * a + cos_lat * cos_to_lat * b * b)
    return 2.0 * constants.EARTH_KM * s * (1.0 + s * s / 6.0)
