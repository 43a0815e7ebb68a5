"""One moment of a day, and the last pick-ups before it, as a picture wants to know them."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from compagnon.worlds.dispatch_poc import arrays, constants
from compagnon.worlds.dispatch_poc.travel import minutes_a_km, traffic

RECENT: Final = 8

Place = tuple[float, float]


@dataclass(frozen=True)
class Pickup:
    """An assignment: from where the driver came, to which pick-up, how late."""

    driver: int
    start: Place
    pickup: Place
    to: Place
    minutes_late: float


class Pickups:
    """The last assignments of one day."""

    def __init__(self) -> None:
        self._recent: deque[Pickup] = deque(maxlen=RECENT)

    def clear(self) -> None:
        """Forget everything."""
        self._recent.clear()

    def note(self, days: arrays.Days, action: int) -> None:
        """Keep what `action` is about to do in the first day of `days`, if it assigns a booking."""
        bookings, state = days.bookings[0], days.state[0]
        if action == 0:
            return
        driver, slot = divmod(action - 1, len(bookings))
        driver, slot = int(days.order[0, driver]), int(days.shown[0, slot])
        if (
            slot >= state[arrays.COUNT]
            or bookings[slot, arrays.TAKEN]
            or days.load[0, driver] >= constants.MAX_LOAD
        ):
            return
        minutes = days.km[0, slot, driver] * minutes_a_km(state[arrays.TICK])
        late = state[arrays.TICK] * constants.TICK_MINUTES + minutes - bookings[slot, arrays.END]
        lat, lon = days.places[0, driver, :2].tolist()
        pick_lat, pick_lon, to_lat, to_lon = bookings[slot, :4].tolist()
        self._recent.append(
            Pickup(driver, (lat, lon), (pick_lat, pick_lon), (to_lat, to_lon), max(0.0, late))
        )

    @property
    def recent(self) -> tuple[Pickup, ...]:
        """The last of them, in time order."""
        return tuple(self._recent)


@dataclass(frozen=True)
class Booking:
    """A booking on the board that nobody has; degrees from the centre, minutes."""

    place: Place
    priority: int
    minutes_left: float
    reachable: bool


@dataclass(frozen=True)
class PocSnapshot:
    """A day at one moment.

    Attributes:
        minute: since 08:00.
        drivers: place and rides of each.
        bookings: the open ones.
        pickups: the last assignments, in time order.
    """

    minute: int
    traffic: float
    drivers: tuple[tuple[Place, int], ...]
    bookings: tuple[Booking, ...]
    pickups: tuple[Pickup, ...]
    kpis: dict[str, float]

    @property
    def clock(self) -> str:
        """Time of the day, HH:MM."""
        hours, minutes = divmod(constants.START_HOUR * 60 + self.minute, 60)
        return f"{hours:02}:{minutes:02}"

    @classmethod
    def of(
        cls, days: arrays.Days, kpis: dict[str, float], pickups: tuple[Pickup, ...]
    ) -> "PocSnapshot":
        """Read the first day of `days`."""
        tick = int(days.state[0, arrays.TICK])
        now = tick * constants.TICK_MINUTES
        free = days.load[0] < constants.MAX_LOAD
        open_bookings = []
        for j, row in enumerate(days.bookings[0][: days.state[0, arrays.COUNT]]):
            if row[arrays.TAKEN]:
                continue
            left = float(row[arrays.END]) - now
            minutes = days.km[0, j] * minutes_a_km(tick)
            reachable = bool((free & (minutes <= left)).any())
            place = (float(row[arrays.LAT]), float(row[arrays.LON]))
            open_bookings.append(Booking(place, int(row[arrays.PRIORITY]), left, reachable))
        drivers = tuple(
            ((float(lat), float(lon)), int(load))
            for (lat, lon, _), load in zip(days.places[0], days.load[0], strict=True)
        )
        return cls(now, traffic(tick), drivers, tuple(open_bookings), pickups, kpis)
