"""Asks for the memory of the next copy's day while this one's is worked on; it changes nothing.

A day has more memory than a core keeps near, and a decision reads a little of all of it. Asked for
in time, that is there when it is needed, instead of one wait after the other.
"""

from compagnon.envs.kernels import kernel_inline, prefetch
from compagnon.worlds.dispatch import insertion, plans, running_days, tables

_LINE = 64  # bytes that come together
_DRIVER = 4 * plans.DRIVER_CODES  # bytes of a driver's whole numbers


@kernel_inline
def _fetch(array, first, size):
    """Ask for `size` bytes of an array from byte `first` on."""
    for at in range(first, first + size, _LINE):
        prefetch(array, at)
    prefetch(array, first + size - 1)


@kernel_inline
def fetch_heads(i, worlds, out):
    """What says where the rest is (counters, open bookings, states, times), and what is shown."""
    drivers = worlds.state.shape[1]
    _fetch(out.obs[i], 0, 4 * out.obs.shape[1])
    _fetch(worlds.counts[i], 0, 8 * running_days.COUNT_COLUMNS)
    _fetch(worlds.money[i], 0, 8 * running_days.MONEY_COLUMNS)
    _fetch(worlds.open[i], 0, 2 * _LINE)
    _fetch(worlds.state[i], 0, drivers * _DRIVER)
    _fetch(worlds.times[i], 0, drivers * 8 * plans.DRIVER_TIMES)


@kernel_inline
def fetch_plans(i, worlds):
    """Where the drivers are, and the begin of their plans."""
    _fetch(worlds.speed[i], 0, 192)
    _fetch(worlds.drivers[i], 0, worlds.state.shape[1] * 8 * tables.DRIVER_COLUMNS)
    for d in range(worlds.state.shape[1]):
        at, last = worlds.state[i, d, plans.AT], worlds.state[i, d, plans.COUNT]
        _fetch(worlds.codes[i, d], 0, 2 * _LINE)
        _fetch(worlds.stops[i, d], 0, 2 * _LINE)
        _fetch(worlds.gaps[i, d], 0, 8 * plans.GAP_COLUMNS * max(1, last))
        prefetch(worlds.stops[i, d], 8 * plans.STOP_COLUMNS * max(0, last - 2))
        prefetch(worlds.near[i], 16 * at)
        prefetch(worlds.xyz[i], 24 * at)


@kernel_inline
def fetch_board(i, worlds, board):
    """The bookings shown, and what was found for them."""
    drivers = worlds.state.shape[1]
    for place in range(min(board, worlds.counts[i, running_days.OPEN])):
        b = worlds.open[i, place]
        _fetch(worlds.bookings[i], 8 * tables.BOOKING_COLUMNS * b, 8 * tables.BOOKING_COLUMNS)
        _fetch(worlds.where[i, b], 0, drivers * 4 * running_days.WHERE_COLUMNS)
        _fetch(worlds.found[i, b], 0, drivers * 4 * insertion.COLUMNS)
        prefetch(worlds.near[i], 32 * b)
        prefetch(worlds.xyz[i], 48 * b)
