"""Batch matching of drivers with bookings, which rules of both worlds of dispatch use."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def most_urgent_match(
    costs: NDArray[np.float64], deadlines: NDArray[np.float64], never: float
) -> tuple[int, int]:
    """The pair that goes first of the cheapest matching of as many pairs as there can be.

    The Hungarian method, `scipy.optimize.linear_sum_assignment`.

    Args:
        costs: (drivers, places), `never` where a pair is impossible; some pair is possible.
        deadlines: (places,), of which the least goes first.
        never: more than all possible costs together.

    Returns:
        The driver and the place.
    """
    wanted = np.flatnonzero((costs < never).any(axis=0))
    drivers, columns = linear_sum_assignment(costs[:, wanted])
    possible = costs[drivers, wanted[columns]] < never
    drivers, places = drivers[possible], wanted[columns[possible]]
    first = deadlines[places].argmin()
    return int(drivers[first]), int(places[first])
