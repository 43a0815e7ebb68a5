"""A moment of dispatch as a pickup-and-delivery problem, solved by OR-Tools.

What is locked stays with its driver and in its order; planned rides that may move still may go
anywhere, and open bookings anywhere, or nowhere at the price of a refusal or a taxi. The solver
minimises kilometres, waiting beyond the promise, lateness of drop-offs and refusals, by guided
local search within a time limit.

A break is taken wherever the driver is. The solver has no place of that kind, so from a break on to
the next stop it reckons with the mean of all ways there; its own break intervals made it too slow.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.worlds.dispatch.experts.snapshot import DaySnapshot, PlannedRide
from compagnon.worlds.dispatch.insertion import Weights
from compagnon.worlds.dispatch.tables import LOADS

_TICKS: Final = 10.0  # of a minute; the solver counts in whole numbers
_UNITS: Final = 1000.0  # of cost
_LAST: Final = 4000.0  # minutes; later than any day
_BROKEN: Final = 20.0  # cost of a minute after a limit of what is promised already
_ROUNDING: Final = 5.0  # minutes that a promised ride may be longer than its limit, by rounding


@dataclass(frozen=True, slots=True)
class Planned:
    """Where the solver puts a ride: which driver, when he leaves for it and is there."""

    booking: int
    driver: int
    leaves: float
    boards: float


def load_ortools() -> tuple[Any, Any]:
    """The solver's modules.

    Raises:
        InputError: OR-Tools is not installed.
    """
    try:
        from ortools.constraint_solver import pywrapcp, routing_enums_pb2
    except ImportError as error:
        raise InputError(
            f"OR-Tools cannot be imported ({error}); install it: pip install 'compagnon[dispatch]'"
        ) from None
    return pywrapcp, routing_enums_pb2


def _ticks(minutes: float) -> int:
    return int(np.ceil(min(max(minutes, 0.0), _LAST) * _TICKS - 1e-6))


def _price(cost_a_minute: float) -> int:
    return round(cost_a_minute * _UNITS / _TICKS)


def _with_rests(table: NDArray[np.float64], rests: int) -> NDArray[np.float64]:
    """The table of legs (n, n) with so many breaks behind its last row: free to, the mean from."""
    n = len(table)
    wider = np.zeros((n + rests, n + rests))
    wider[:n, :n] = table
    wider[n:, :n] = table.mean(axis=0)
    return wider


class _Model:
    """The routing model of one moment."""

    def __init__(
        self,
        taken: DaySnapshot,
        minutes: NDArray[np.float64],
        km: NDArray[np.float64],
        weights: Weights,
    ) -> None:
        pywrapcp, self.enums = load_ortools()
        self.pywrapcp = pywrapcp
        self.taken = taken
        count, vehicles = len(taken.stops), len(taken.vehicles)
        self.starts = [count + v for v in range(vehicles)]
        homes = [count + vehicles + v for v in range(vehicles)]
        resting = [(v, k) for v, one in enumerate(taken.vehicles) for k in range(len(one.rests))]
        self.rests = {rest: len(minutes) + k for k, rest in enumerate(resting)}
        self.minutes, km = _with_rests(minutes, len(resting)), _with_rests(km, len(resting))
        self.manager = pywrapcp.RoutingIndexManager(len(km), vehicles, self.starts, homes)
        self.routing = pywrapcp.RoutingModel(self.manager)
        self.solver = self.routing.solver()
        self._add_costs(km, weights)
        self._add_time()
        self._add_seats()
        for ride in taken.rides:
            self._add_ride(ride, weights)
        for v in range(vehicles):
            self._lock(v)

    def index(self, stop: int) -> int:
        """The solver's index of a stop."""
        return int(self.manager.NodeToIndex(stop))

    def _add_costs(self, km: NDArray[np.float64], weights: Weights) -> None:
        cost = np.rint(km * weights.km * _UNITS).astype(int).tolist()
        self.routing.SetArcCostEvaluatorOfAllVehicles(self.routing.RegisterTransitMatrix(cost))

    def _add_time(self) -> None:
        stops = self.taken.stops
        service = np.zeros(len(self.minutes))
        service[: len(stops)] = [stop.service for stop in stops]
        for (v, k), node in self.rests.items():
            service[node] = self.taken.vehicles[v].rests[k][0]
        took = np.ceil((self.minutes + service[:, None]) * _TICKS - 1e-6).astype(int)
        last = _ticks(_LAST)
        transit = self.routing.RegisterTransitMatrix(took.tolist())
        self.routing.AddDimension(transit, last, last, False, "time")
        self.time = self.routing.GetDimensionOrDie("time")
        for v, vehicle in enumerate(self.taken.vehicles):
            begins = self.time.CumulVar(self.routing.Start(v))
            begins.SetMin(_ticks(vehicle.start.earliest))
            self.time.SetCumulVarSoftUpperBound(
                self.routing.End(v), _ticks(vehicle.home.latest), _price(_BROKEN)
            )

    def _add_seats(self) -> None:
        taken = self.taken
        loads = np.zeros((len(self.minutes), LOADS), int)  # seats by type, and company
        loads[: len(taken.stops)] = [stop.load for stop in taken.stops] or 0
        for v, vehicle in enumerate(taken.vehicles):  # counts once the driver leaves his start
            loads[self.starts[v]] = vehicle.start.load
        for seat in range(LOADS):
            seats = [vehicle.seats[seat] for vehicle in taken.vehicles]
            self._limit(loads[:, seat], seats, f"seat{seat}")
        for node in self.rests.values():  # nobody is on board during a break
            company = self.routing.GetDimensionOrDie(f"seat{LOADS - 1}")
            company.CumulVar(self.index(node)).SetRange(0, 0)
        # Seats that are folded away for a wheelchair, as in `tables.folded`.
        for each in sorted({one.fold_seats for one in taken.vehicles if one.fold}):
            room = [
                one.seats[0] + each * (one.seats[1] - one.fold)
                if one.fold and one.fold_seats == each
                else one.seats[0] + each * one.seats[1]
                for one in taken.vehicles
            ]
            self._limit(loads[:, 0] + each * loads[:, 1], room, f"fold{each}")

    def _limit(self, loads: NDArray[np.int64], room: list[int], name: str) -> None:
        """Have no vehicle load more of something than it has room for."""
        demand = self.routing.RegisterUnaryTransitVector(loads.tolist())
        self.routing.AddDimensionWithVehicleCapacity(demand, 0, room, True, name)

    def _add_ride(self, ride: PlannedRide, weights: Weights) -> None:
        pickup, dropoff = self.index(ride.pickup), self.index(ride.dropoff)
        self.routing.AddPickupAndDelivery(pickup, dropoff)
        begins, ends = self.time.CumulVar(pickup), self.time.CumulVar(dropoff)
        add = self.solver.Add
        add(self.routing.VehicleVar(pickup) == self.routing.VehicleVar(dropoff))
        add(begins <= ends)
        boarding = self.taken.stops[ride.pickup].service
        longest = ride.longest + (_ROUNDING if ride.vehicle >= 0 else 0.0)
        add(ends - begins <= int((boarding + longest) * _TICKS))
        if ride.vehicle >= 0:
            return
        if ride.needs:
            able = [v for v, one in enumerate(self.taken.vehicles) if not ride.needs & ~one.skills]
            self.routing.VehicleVar(pickup).SetValues([-1, *able])  # -1: nobody
        for stop, cumul in ((ride.pickup, begins), (ride.dropoff, ends)):
            limits = self.taken.stops[stop]
            cumul.SetRange(_ticks(limits.earliest), int(min(limits.latest, _LAST) * _TICKS))
        if ride.ready < np.inf:  # otherwise nobody waits for a minute that nobody named
            promised = ride.ready + weights.promise
            self.time.SetCumulVarSoftUpperBound(pickup, _ticks(promised), _price(weights.wait))
            # The cost of a long ride, roughly: who boards as promised and rides directly pays none.
            direct = max(self.taken.stops[ride.dropoff].earliest, promised + boarding + ride.direct)
            self.time.SetCumulVarSoftUpperBound(dropoff, _ticks(direct), _price(weights.ride))
        share = round(ride.penalty * _UNITS / 2)
        for index in (pickup, dropoff):
            self.routing.AddDisjunction([index], share)

    def _lock(self, v: int) -> None:
        """Keep what stays with vehicle `v`, in its order, and the break among it."""
        vehicle = self.taken.vehicles[v]
        before: Any = None  # when what comes before is done
        for k in vehicle.order:
            if k >= 0:
                stop, index = self.taken.stops[k], self.index(k)
                service, earliest, latest = stop.service, stop.earliest, stop.latest
            else:
                index = self.index(self.rests[v, -1 - k])
                service, earliest, latest = vehicle.rests[-1 - k]
            self.routing.VehicleVar(index).SetValues([v])
            cumul = self.time.CumulVar(index)
            cumul.SetMin(_ticks(earliest))
            if latest < _LAST:
                late = _price(_BROKEN)
                self.time.SetCumulVarSoftUpperBound(index, _ticks(latest), late)
            if before is not None:
                self.solver.Add(cumul >= before)
            before = cumul + _ticks(service)

    def solve(self, seconds: float, begin: list[list[int]] | None = None) -> Any:
        """The best assignment found, or None. The search may `begin` with a plan that is known."""
        parameters = self.pywrapcp.DefaultRoutingSearchParameters()
        parameters.first_solution_strategy = (
            self.enums.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
        )
        parameters.local_search_metaheuristic = (
            self.enums.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
        )
        parameters.time_limit.FromMilliseconds(round(1000 * seconds))
        if begin is not None:
            self.routing.CloseModelWithParameters(parameters)
            routes = [[self.index(k) for k in route] for route in begin]
            first = self.routing.ReadAssignmentFromRoutes(routes, True)
            if first is not None:
                return self.routing.SolveFromAssignmentWithParameters(first, parameters)
        if any(k >= 0 for vehicle in self.taken.vehicles for k in vehicle.route):
            return self._solve_from_plans(parameters)
        return self.routing.SolveWithParameters(parameters)

    def _solve_from_plans(self, parameters: Any) -> Any:
        """Search from what is planned: the solver's own first plans seldom keep it."""
        routes = [
            [self.index(self.rests[v, -1 - k] if k < 0 else k) for k in vehicle.route]
            for v, vehicle in enumerate(self.taken.vehicles)
        ]
        self.routing.CloseModelWithParameters(parameters)
        begun = self.routing.ReadAssignmentFromRoutes(routes, True)
        if begun is None:
            return None
        return self.routing.SolveFromAssignmentWithParameters(begun, parameters)

    def read(self, found: Any) -> list[Planned]:
        """Where those that may go anywhere stand in an assignment, by their pickups."""
        opened = {ride.pickup: ride for ride in self.taken.rides if ride.vehicle < 0}
        planned = []
        for v, vehicle in enumerate(self.taken.vehicles):
            index, last = found.Value(self.routing.NextVar(self.routing.Start(v))), self.starts[v]
            while not self.routing.IsEnd(index):
                stop = self.manager.IndexToNode(index)
                if stop in opened:
                    boards = found.Min(self.time.CumulVar(index)) / _TICKS
                    leaves = boards - self.minutes[last, stop]
                    number = vehicle.number
                    planned.append(Planned(opened[stop].booking, number, leaves, boards))
                index, last = found.Value(self.routing.NextVar(index)), stop
        return sorted(planned, key=lambda plan: (plan.boards, plan.booking))


def solve(
    taken: DaySnapshot,
    minutes: NDArray[np.float64],
    km: NDArray[np.float64],
    weights: Weights,
    seconds: float,
) -> list[Planned] | None:
    """Where those go that may go anywhere; one that is not named gets no ride. None: no answer.

    Args:
        minutes, km: `snapshot.leg_tables`.
        seconds: how long to search.
    """
    if not taken.vehicles or all(ride.vehicle >= 0 for ride in taken.rides):
        return []
    model = _Model(taken, minutes, km, weights)
    found = model.solve(seconds)
    return None if found is None else model.read(found)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A whole day as the solver would drive it, had it known every request from the begin.

    Attributes:
        served: bookings that get a ride.
        km: kilometres driven.
        cost: refusals, kilometres, waiting beyond the promise, minutes beyond the direct ride.
    """

    served: int
    km: float
    cost: float


def foresee(
    taken: DaySnapshot,
    minutes: NDArray[np.float64],
    km: NDArray[np.float64],
    weights: Weights,
    seconds: float,
    begin: list[list[int]],
) -> Foreseen | None:
    """Plan a moment at which every request of the day is open. None: no answer in time.

    The search is a heuristic one: what it finds is no bound.

    Args:
        begin: a plan to begin with, for each vehicle the positions in `taken.stops`.
    """
    model = _Model(taken, minutes, km, weights)
    found = model.solve(seconds, begin)
    if found is None:
        return None
    begins: dict[int, float] = {}
    driven = 0.0
    for v in range(len(taken.vehicles)):
        index = model.routing.Start(v)
        while not model.routing.IsEnd(index):
            here = model.manager.IndexToNode(index)
            begins[here] = found.Min(model.time.CumulVar(index)) / _TICKS
            index = found.Value(model.routing.NextVar(index))
            there = model.manager.IndexToNode(index)
            if here < len(km) and there < len(km):
                driven += float(km[here, there])
    cost, served = weights.km * driven, 0
    for ride in taken.rides:
        if ride.pickup not in begins:
            cost += ride.penalty
            continue
        served += 1
        boards, service = begins[ride.pickup], taken.stops[ride.pickup].service
        cost += weights.wait * max(0.0, boards - ride.ready - weights.promise)
        on_board = begins[ride.dropoff] - boards - service
        cost += weights.ride * max(0.0, on_board - ride.direct)
    return Foreseen(served, driven, cost)
