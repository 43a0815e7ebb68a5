"""A proof-of-concept board as its dispatcher can describe it, and what a policy sees and may do.

The environment's own kernel looks at it: the same travel times, the same order, the same mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.worlds.dispatch_poc import arrays, constants, kernel
from compagnon.worlds.dispatch_poc.fields import observation_fields
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.travel import cosine, kilometres

_LONGEST: Final = 60.0  # minutes of a window
_SLACK: Final = 1e-9  # degrees: a place on the edge of the box, written with all its digits


@dataclass(frozen=True, slots=True, kw_only=True)
class PocDriver:
    """A driver, by degrees of latitude and longitude.

    Attributes:
        id: what the answer calls him.
        lat, lon: where he stands, or will be when he has dropped off whom he was given.
        load: rides he has, 0 to 3; with 3 he is not available.
    """

    id: str
    lat: float
    lon: float
    load: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PocBooking:
    """A booking that nobody was given, by the degrees of its pick-up.

    Attributes:
        id: what the answer calls it.
        priority: 1 (low) to 5 (high).
        minutes_left: to the end of its window; or
        window_end: that end itself, minutes since 08:00. One of the two is needed.
        window: the whole window in minutes, at least what is left of it. It changes no decision.
        taken: a driver has it. Only where the original's faults are played (`faults`): there it
            goes on being shown.
    """

    id: str
    lat: float
    lon: float
    priority: int
    minutes_left: float | None = None
    window_end: float | None = None
    window: float | None = None
    taken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PocState:
    """Everything that dispatch knows at a tick.

    Attributes:
        time: minutes since 08:00, a multiple of five: the world decides by ticks.
        drivers: in the order that the policy knows them by.
        bookings: in the order in which they came.
    """

    time: float
    drivers: list[PocDriver]
    bookings: list[PocBooking]


class StepInfo(NamedTuple):
    """A board as a policy sees it.

    Attributes:
        obs: (F,) float64, in physical units. mask: (A,).
        drivers, bookings: (N,) and (M,), which of the state's stands at each place; a number past
            the state's own is an empty place.
    """

    obs: NDArray[np.float64]
    mask: NDArray[np.bool_]
    drivers: list[int]
    bookings: list[int]


class PocReader:
    """Shows states as an environment with these options would."""

    def __init__(self, options: PocOptions) -> None:
        self.options = options
        self._params = options.kernel_params()
        self._fields = len(observation_fields(options))
        self._scale = np.ones(self._fields)

    def look(self, state: PocState) -> StepInfo:
        """What a policy sees of a state, and may do.

        Drivers that the state has fewer of than the policy knows stand at the centre and are not
        available.

        Raises:
            InputError: names the field, and what would be right.
        """
        options = self.options
        _check(state, options)
        days, out = arrays.allocate(1, options.drivers, options.slots, self._fields)
        d = arrays.Days(*(array[0] for array in days))
        d.state[arrays.TICK], d.state[arrays.COUNT] = (
            state.time // constants.TICK_MINUTES,
            len(state.bookings),
        )
        d.load[:], d.places[:, 2] = constants.MAX_LOAD, cosine(0.0)
        for k, driver in enumerate(state.drivers):
            lat = driver.lat - constants.CENTRE_LAT
            d.places[k] = lat, driver.lon - constants.CENTRE_LON, cosine(lat)
            d.load[k] = driver.load
        for j, booking in enumerate(state.bookings):
            self._write(j, booking, state.time, d)
        kernel.observe(
            d.state, d.places, d.load, d.order, d.shown, d.bookings, d.km, self._params,
            self._scale, out.obs[0], out.mask[0],
        )  # fmt: skip
        return StepInfo(
            out.obs[0].astype(np.float64), out.mask[0], d.order.tolist(), d.shown.tolist()
        )

    def _write(self, j: int, booking: PocBooking, now: float, d: arrays.Days) -> None:
        lat, lon = booking.lat - constants.CENTRE_LAT, booking.lon - constants.CENTRE_LON
        row = d.bookings[j]
        row[arrays.LAT], row[arrays.LON], row[arrays.COSINE] = lat, lon, cosine(lat)
        row[arrays.PRIORITY], row[arrays.TAKEN] = booking.priority, booking.taken
        row[arrays.END] = now + _left(booking, now)
        for k in range(len(d.load)):
            from_lat, from_lon, from_cosine = d.places[k]
            d.km[j, k] = kilometres(from_lat, from_lon, from_cosine, lat, lon, row[arrays.COSINE])


def action_in_words(action: int, look: StepInfo, state: PocState) -> str:
    """An action by the ids of the state: ``driver anna takes booking b-17``."""
    if action == 0:
        return "wait"
    place, rank = divmod(action - 1, len(look.bookings))
    driver, booking = look.drivers[place], look.bookings[rank]
    if driver >= len(state.drivers) or booking >= len(state.bookings):
        return f"driver {driver} takes booking {booking}"  # an empty place, which no mask allows
    return f"driver {state.drivers[driver].id} takes booking {state.bookings[booking].id}"


def _left(booking: PocBooking, now: float) -> float:
    if booking.minutes_left is not None:
        return booking.minutes_left
    assert booking.window_end is not None
    return booking.window_end - now


def _check(state: PocState, options: PocOptions) -> None:
    last = options.hours * 60
    if not 0 <= state.time <= last or state.time % constants.TICK_MINUTES:
        raise InputError(
            f"time: it is {state.time:g}; it should be a multiple of {constants.TICK_MINUTES} from "
            f"0 to {last}, minutes since 0{constants.START_HOUR}:00"
        )
    _check_group("drivers", state.drivers, options.drivers)
    _check_group("bookings", state.bookings, options.slots)
    for k, driver in enumerate(state.drivers):
        _within(f"drivers[{k}].load", driver.load, 0, constants.MAX_LOAD)
    for k, booking in enumerate(state.bookings):
        _check_booking(f"bookings[{k}]", booking, state.time, options)


def _check_group(name: str, found: Sequence[PocDriver | PocBooking], most: int) -> None:
    """How many there are, their ids, and where they stand."""
    if len(found) > most:
        raise InputError(f"{name}: there are {len(found)}; this policy knows {most}")
    seen: set[str] = set()
    for k, one in enumerate(found):
        if one.id in seen:
            raise InputError(f"{name}[{k}].id: {one.id!r} stands there twice")
        seen.add(one.id)
        _within(
            f"{name}[{k}].lat",
            one.lat,
            constants.CENTRE_LAT - constants.REACH,
            constants.CENTRE_LAT + constants.REACH,
        )
        _within(
            f"{name}[{k}].lon",
            one.lon,
            constants.CENTRE_LON - constants.REACH,
            constants.CENTRE_LON + constants.REACH,
        )


def _check_booking(where: str, booking: PocBooking, now: float, options: PocOptions) -> None:
    _within(f"{where}.priority", booking.priority, 1, constants.PRIORITIES)
    if (booking.minutes_left is None) == (booking.window_end is None):
        raise InputError(f"{where}.minutes_left: give it or window_end, and not both")
    given = "minutes_left" if booking.window_end is None else "window_end"
    begun = now if given == "window_end" else 0.0
    # A booking that is taken keeps its slot, with the original's faults, when its window is over.
    least = 0.0 if booking.taken else begun
    _within(f"{where}.{given}", getattr(booking, given), least, begun + _LONGEST)
    if booking.window is not None:
        _within(f"{where}.window", booking.window, max(0.0, _left(booking, now)), _LONGEST)
    if booking.taken and not options.faults:
        raise InputError(
            f"{where}.taken: a booking that a driver has leaves the board; leave it out"
        )


def _within(where: str, value: float, low: float, high: float) -> None:
    if not low - _SLACK <= value <= high + _SLACK:
        raise InputError(f"{where}: it is {value:g}; it should be {low:g} to {high:g}")
