"""What a dispatch board consists of: everything that a dispatcher can say of a moment."""

from dataclasses import dataclass, field
from typing import Literal

from compagnon.worlds.dispatch.instance_parts import FOLD_SEATS

Point = tuple[float, float]
Where = Point | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place by its name, and where it lies: (latitude, longitude) or (x, y) km."""

    name: str
    at: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Ride:
    """A booking; minutes since the day's midnight.

    A place is (latitude, longitude) or (x, y) km, or the number or the name of one of the board's.

    Attributes:
        pickup_from, pickup_to, dropoff_from, dropoff_to: windows; None where there is no limit.
        seats: taken, in the order ambulatory, wheelchair, stretcher, companion.
        boarding, alighting: minutes at the door. max_ride: minutes on board at most.
        announced: when it was booked.
        returns_from: the id of the ride that this one is the way back of, or goes on from.
        moved: its driver or place has been changed at this very minute; it stays there for now.
        needs: skills that the driver must have. alone: nobody else may be on board.
        status: ``open`` unless a driver has it; ``later``: a return that a call will announce;
            ``served``, ``rejected``, ``cancelled``, ``taxi``: listed because a return or a plan
            names it.
    """

    id: str
    pickup: Where
    dropoff: Where
    pickup_from: float | None = None
    pickup_to: float | None = None
    dropoff_from: float | None = None
    dropoff_to: float | None = None
    seats: tuple[int, int, int, int] = (1, 0, 0, 0)
    boarding: float = 2.0
    alighting: float = 2.0
    max_ride: float = 120.0
    priority: int = 3
    announced: float = 0.0
    returns_from: str | None = None
    moved: bool = False
    needs: list[str] = field(default_factory=list)
    alone: bool = False
    status: Literal["open", "later", "served", "rejected", "cancelled", "taxi"] = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop of a driver's plan.

    Attributes:
        ride: its id; None for the break.
        at: ``pickup``, ``dropoff``, ``break``, or ``nobody``: a pickup that was cancelled while
            the driver was under way to it. ``passes``: where a ride would have ended that fell
            away, if the driver goes there all the same, since from there he is in time.
        earliest, limit: when it may begin, where that is not what the booking says any more.
        ride_limit: minutes on board at most, likewise.
    """

    ride: str | None = None
    at: Literal["pickup", "dropoff", "break", "nobody", "passes"] = "pickup"
    earliest: float | None = None
    limit: float | None = None
    ride_limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aboard:
    """A rider in a vehicle, and the minute at which boarding ended."""

    ride: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver with the vehicle; minutes since midnight.

    Attributes:
        at: where he stands, or came from. end: where he is when the shift ends.
        seats: of the vehicle, as in `Ride`.
        phase: ``waits``, ``busy`` at a door or on a break, ``drives``, or ``off`` for the day.
        free_at: from when on he can leave `at`. arrives: at the first stop of the plan, for one
            who drives.
        plan: the stops to come, in order; the way home is not listed.
        aboard: who is in the vehicle. alighting: who is leaving it at this very door.
        break_from, break_to, break_minutes: the break begins between them, if the plan has one.
        break2_from, break2_to, break2_minutes: the same of a second break, the last of the plan's.
        skills: of driver and vehicle. fold: how many of the wheelchair places are made by folding
            seats, and fold_seats: how many seats each of them takes away.
    """

    at: Where
    end: Where
    shift_end: float
    shift_start: float = 0.0
    seats: tuple[int, int, int, int] = (4, 0, 0, 0)
    phase: Literal["waits", "busy", "drives", "off"] = "waits"
    free_at: float = 0.0
    arrives: float | None = None
    plan: list[Stop] = field(default_factory=list)
    aboard: list[Aboard] = field(default_factory=list)
    alighting: str | None = None
    break_from: float = 0.0
    break_to: float = 0.0
    break_minutes: float = 0.0
    break2_from: float = 0.0
    break2_to: float = 0.0
    break2_minutes: float = 0.0
    skills: list[str] = field(default_factory=list)
    fold: int = 0
    fold_seats: int = FOLD_SEATS


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Everything that dispatch knows at the minute `now`.

    Attributes:
        kind: ``sphere`` (places are degrees), ``plane`` (km), or ``matrix`` (degrees, which then
            only say what a policy sees of the map; ways are those of `minutes` and `km`).
        places: that rides and drivers may name; with a matrix these alone, in its order.
        minutes, km: from the place of the row to that of the column, at relative speed 1.
        speed_kmh, detour: of the other kinds. speed: relative, by hour of the day; empty for 1.
        halt_minutes: of parking, on each way to another place.
        middle: of the map, which places are seen from; the mean of all places without it.
        day_begin: when the day began. day_end: of the last shift; without it, of those listed.
        served, rejected: rides so far, beside those listed.
    """

    now: float
    drivers: list[Driver]
    rides: list[Ride]
    kind: Literal["sphere", "plane", "matrix"] = "sphere"
    places: list[Place] = field(default_factory=list)
    minutes: list[list[float]] = field(default_factory=list)
    km: list[list[float]] = field(default_factory=list)
    speed_kmh: float = 30.0
    detour: float = 1.3
    speed: list[float] = field(default_factory=list)
    halt_minutes: float = 0.0
    middle: Point | None = None
    day_begin: float = 0.0
    day_end: float | None = None
    served: int = 0
    rejected: int = 0
