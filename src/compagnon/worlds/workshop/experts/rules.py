"""The workshop's three rules, compiled: each a function of one row of observed quantities."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.workshop import constants

# What every rule sees, in this order, as whole numbers in physical units.
NEEDED = (
    "raw",
    "raw_in_transit",
    "p1",
    "p2_inter",
    "p2",
    "backlog_p1",
    "backlog_p2",
    "m1_busy",
    "m2_busy",
    "m2_time_left",
)
RAW, IN_TRANSIT, P1, P2_INTER, P2, BACKLOG_P1, BACKLOG_P2, M1_BUSY, M2_BUSY, M2_LEFT = range(10)


class BaseStockLevels(NamedTuple):
    """The nine numbers of the base-stock rule, in units."""

    order_point: int  # order when raw in stock and in transit is below this
    order_size: int
    p1_batch: int  # at most so many in one launch
    step1_batch: int
    step2_batch: int
    p1_target: int  # wanted P1 in stock beyond the backlog
    p2_target: int  # wanted P2 in stock, on M2 and half finished, beyond the backlog
    p2_inter_cap: int  # no more half-finished P2 than this
    p1_first: int  # P1 goes first while its backlog exceeds its stock by more than this


@cached_njit
def v2(x, p):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The published expert: small fixed batches, made only to serve the backlog."""
    if x[RAW] + x[IN_TRANSIT] < 20:
        return constants.ORDER_START + 9
    if x[M2_BUSY] == 0 and x[P2_INTER] > 0:
        return constants.STEP2_START + min(x[P2_INTER], 5) - 1
    if x[M1_BUSY] == 0 and x[RAW] > 0:
        if x[BACKLOG_P2] > 0:
            return constants.STEP1_START + min(x[BACKLOG_P2], x[RAW], 5) - 1
        if x[BACKLOG_P1] > 0:
            return constants.P1_START + min(x[BACKLOG_P1], x[RAW], 5) - 1
    return constants.WAIT


@cached_njit
def base_stock(x, p):  # type: ignore[no-untyped-def]
    """Produce up to target positions, order up to a level; nothing is ever lost to a cap."""
    on_m2 = (x[M2_LEFT] + constants.STEP2_MINUTES - 1) // constants.STEP2_MINUTES
    supply = x[RAW] + x[IN_TRANSIT]
    if supply < p.order_point and supply + p.order_size <= constants.STOCK_CAP:
        return constants.ORDER_START + p.order_size - 1
    if x[M2_BUSY] == 0 and x[P2_INTER] > 0:
        k = min(x[P2_INTER], p.step2_batch, constants.STOCK_CAP - x[P2])
        if k > 0:
            return constants.STEP2_START + k - 1
    if x[M1_BUSY] == 0 and x[RAW] > 0:
        p1_wanted = p.p1_target - x[P1] + x[BACKLOG_P1]
        k1 = min(p1_wanted, x[RAW], p.p1_batch, constants.STOCK_CAP - x[P1])
        p2_wanted = p.p2_target - (x[P2] + on_m2 + x[P2_INTER]) + x[BACKLOG_P2]
        k2 = min(p2_wanted, p.p2_inter_cap - x[P2_INTER], x[RAW], p.step1_batch)
        p1_urgent = x[BACKLOG_P1] - x[P1] > p.p1_first
        if k1 > 0 and (p1_urgent or k2 <= 0):
            return constants.P1_START + k1 - 1
        if k2 > 0:
            return constants.STEP1_START + k2 - 1
    return constants.WAIT


@cached_njit
def over_producer(x, p):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Keeps raw full, serves P1 first, and launches P2 for ever, storable or not."""
    k = constants.STOCK_CAP - x[RAW] - x[IN_TRANSIT]
    if k > 0:
        return constants.ORDER_START + k - 1
    if x[M2_BUSY] == 0 and x[P2_INTER] > 0:
        return constants.STEP2_START + x[P2_INTER] - 1
    if x[M1_BUSY] == 0 and x[RAW] > 0:
        if x[BACKLOG_P1] > x[P1]:
            return constants.P1_START + min(x[BACKLOG_P1] - x[P1], x[RAW]) - 1
        return constants.STEP1_START + min(x[RAW], 5) - 1
    return constants.WAIT


@cached_njit
def apply_v2(x: NDArray[np.int64], p: BaseStockLevels, actions: NDArray[np.int64]) -> None:
    """`v2` for each row of `x`."""
    for i in range(x.shape[0]):
        actions[i] = v2(x[i], p)


@cached_njit
def apply_base_stock(x: NDArray[np.int64], p: BaseStockLevels, actions: NDArray[np.int64]) -> None:
    """`base_stock` for each row of `x`."""
    for i in range(x.shape[0]):
        actions[i] = base_stock(x[i], p)


@cached_njit
def apply_over_producer(
    x: NDArray[np.int64], p: BaseStockLevels, actions: NDArray[np.int64]
) -> None:
    """`over_producer` for each row of `x`."""
    for i in range(x.shape[0]):
        actions[i] = over_producer(x[i], p)


@cached_njit
def apply_many_base_stock(
    x: NDArray[np.int64], levels: NDArray[np.int64], actions: NDArray[np.int64]
) -> None:
    """`base_stock` with other levels, (N, 9), for each row: many candidates in one batch."""
    for i in range(x.shape[0]):
        a = levels[i]
        p = BaseStockLevels(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8])
        actions[i] = base_stock(x[i], p)


V2, BASE_STOCK, OVER_PRODUCER = 0, 1, 2


@cached_njit
def by_number(rule: int, x, p):  # type: ignore[no-untyped-def]
    """The action of a rule: `V2`, `BASE_STOCK` or `OVER_PRODUCER`."""
    if rule == V2:
        return v2(x, p)
    return base_stock(x, p) if rule == BASE_STOCK else over_producer(x, p)
