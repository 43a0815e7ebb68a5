"""`compagnon/DispatchPOC-v0`: the dispatch roadmap's proof of concept, one copy of it."""

from typing import Any

from compagnon.envs.decisions import DecisionEnv
from compagnon.worlds.dispatch_poc import arrays
from compagnon.worlds.dispatch_poc.core import PocCore
from compagnon.worlds.dispatch_poc.kpis import KPI_NAMES
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.snapshot import Pickups, PocSnapshot


class DispatchPocEnv(DecisionEnv):
    """Which driver takes which booking, or wait: booked passenger transport, much simplified.

    ## Description
    Passengers book rides in a box of 0.2 by 0.2 degrees around Geneva. Each booking has a pick-up,
    a drop-off, a priority and a window, at whose end it is cancelled. Time goes by ticks of five
    minutes from 08:00; at each tick a driver can be given a booking.

    - Demand: 3 to 7 bookings at 08:00; at each later tick, the day's end included, with a
      probability (below) 1 to 3 more, each of which needs a free slot or is turned away. Pick-up
      and drop-off are uniform in the box, the priority is 1 to 5, the window 10 to 29 minutes from
      priority 4 on, else 20 to 59.
    - Travel: the haversine distance at 30 (1 - 0.5 traffic) km/h. A pick-up is late where the
      driver arrives after the window's end.
    - Drivers start at the centre. A driver who is given a booking has one ride more, and counts as
      standing at its drop-off from then on. With 3 rides he is not available. At each tick a
      driver with rides ends one with probability 0.10.
    - An assigned booking leaves its slot; later ones move up, in the order of their arrival.

    | time | traffic | probability of bookings |
    |---|---|---|
    | 08:00-09:00, 17:00-18:00 | 0.8 | 0.5 |
    | 09:00-09:30, 18:00-18:30 | 0.3 | 0.5 |
    | 12:00-14:00 | 0.5 | 0.35 |
    | else | 0.3 | 0.2 |

    A tick goes: the decisions; the clock; new bookings; cancellations; rides that end. Demand and
    the ends of rides depend on the seed, the tick and the number of the booking or driver alone,
    so two policies meet the same day.

    ## Action space: `Discrete(N M + 1)`
    | action | meaning | in the mask |
    |---|---|---|
    | 0 | wait: let the tick pass | always |
    | 1 + i M + j | driver i takes the booking in slot j | i available, j open, arrival in time |

    Without the mask a late assignment is carried out (and costs); one to an empty slot, or of a
    driver who is not available, is invalid and changes nothing but the reward.

    ## Observation space: `Box`, float32
    Physical units, or divided by the published divisor. N drivers, M slots.

    | # | field | unit | range | divisor | meaning |
    |---|---|---|---|---|---|
    | 4i | driver_i_lat | deg | -0.1 to 0.1 | 0.1 | north of the centre (46.2044) |
    | 4i + 1 | driver_i_lon | deg | -0.1 to 0.1 | 0.1 | east of the centre (6.1432) |
    | 4i + 2 | driver_i_available | 0/1 | 0 to 1 | 1 | can take another ride |
    | 4i + 3 | driver_i_load | rides | 0 to 3 | 10 | rides the driver has |
    | 4N + 4j | booking_j_lat | deg | -0.1 to 0.1 | 0.1 | pick-up, north of the centre |
    | 4N + 4j + 1 | booking_j_lon | deg | -0.1 to 0.1 | 0.1 | pick-up, east of the centre |
    | 4N + 4j + 2 | booking_j_priority | 1-5 | 0 to 5 | 5 | 0 for an empty slot |
    | 4N + 4j + 3 | booking_j_time_left | min | 0 to 60 | 60 | to the end of its window |
    | 4N + 4M | time | min | 0 to 60 hours | 60 hours | minutes since 08:00 |
    | 4N + 4M + 1 | traffic |  | 0 to 1 | 1 | density of the traffic |

    An empty slot shows zeros. With `observation="pairs"` N M more follow: `spare_i_j`, minutes, 0
    to 60, divisor 60: the time left when driver i arrives at booking j, 0 where the mask forbids
    it. With `observation="trips"` these follow instead, 3M + 2 + 8N M of them:

    | field | unit | range | divisor | meaning |
    |---|---|---|---|---|
    | booking_j_to_lat, booking_j_to_lon | deg | -0.1 to 0.1 | 0.1 | drop-off, from the centre |
    | booking_j_window | min | 0 to 60 | 60 | its whole window |
    | demand |  | 0 to 1 | 1 | chance that bookings come next tick |
    | ticks_left | ticks | 0 to 12 hours | 12 | decisions to the day's end |
    | pair_i_j_feasible | 0/1 | 0 to 1 | 1 | the mask allows it; where not, all eight are 0 |
    | pair_i_j_way | min | 0 to 60 | 30 | to the pick-up |
    | pair_i_j_spare | min | 0 to 60 | 30 | time left on arrival |
    | pair_i_j_reward | points | 0 to 100 | 50 | what the assignment earns |
    | pair_i_j_reach | share | -1 to 1 | 0.1 | see below |
    | pair_i_j_reach_urgent | share | -1 to 1 | 0.1 | the same, of bookings of priority 4 and 5 |
    | pair_i_j_reach_twice | share | -1 to 1 | 0.1 | of those, what two drivers would reach |
    | pair_i_j_others | bookings | -M to M | 1 | see below |

    `reach` is how the assignment, which puts the driver at the drop-off, changes the share of
    bookings to come (of priority 1 to 3, anywhere in the box, held up for ten minutes) that some
    driver would reach in time next tick. `others` is how it changes the number of open bookings
    that will still be reached, each by how safe it is; the one that is taken no longer counts. A
    driver with all his rides is taken to be a quarter of an hour further off.

    ## Reward
    | when | reward |
    |---|---|
    | a booking is assigned | +50 |
    | its pick-up will be late | -5 a minute, at most -100 |
    | the driver is nearer than 5 km | +10 |
    | its priority is 4 or 5 | +20 |
    | the way takes less than half its whole window | +15 |
    | a booking is cancelled | -40 a point of priority |
    | wait | -1 |
    | an invalid action | -10 |
    | at the end: sd of the drivers' assignments below 1.5 | +50 |
    | at the end: share of completion | +100 x share |
    | at the end: mean distance to the pick-ups below 5 km | +30 |
    | at the end: more than 20 % of the pick-ups late | -50 |

    ## Start
    08:00. A reset with a seed begins that seed's first day; one without begins the next day of the
    same seed.

    ## End
    Terminated after `hours`, never truncated.

    ## Arguments
    | argument | default | meaning |
    |---|---|---|
    | drivers | 10 | N |
    | slots | 20 | M |
    | hours | 8 | length of the day |
    | assignments_per_tick | 1 | a tick passes at a wait, or after so many decisions |
    | faults | False | the original's behaviour, see below |
    | observation | `published` | `published`, `pairs` or `trips` |
    | order | `arrival` | `arrival` or `urgency`, see below |
    | scaling | `physical` | `physical` or `published` |
    | render_mode | None | `rgb_array` (540, 960, 3) |

    With `order="urgency"` bookings are shown by the ends of their windows, those that no driver
    reaches in time last, and drivers by their way to the first booking, those who are not
    available last. In observations, actions and masks i and j then are ranks, which change from
    tick to tick; the world is the same, and a network has less to learn.

    With `faults` an assigned booking keeps its slot to the end of the day and goes on being shown,
    so that the slots fill up and demand dries up; and the mask believes a travel time of its own,
    30 km/h lengthened by (1 + 0.5 traffic), which is too short: some of what it allows is late.

    ## Info
    `action_mask` (bool (A,)); after a step also `elapsed` (ticks it took, 0 or 1); after the last
    step also `kpis` (a dict with `kpi_names`). Completion is assigned / (assigned + cancelled +
    still open); `reward_per_step` is a tick; distances are kilometres to pick-ups. Satisfaction is
    the mean grade of those served or cancelled: 5, less 0.05 a minute between booking and pick-up,
    less 0.1 a minute late, at least 1; a cancelled one gives 1.

    ## Version history
    * v0: initial version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's base class declares it so)
        "render_modes": ["rgb_array"],
        "render_fps": 4,
    }
    episode = "the day"
    kpi_names = KPI_NAMES

    def __init__(self, render_mode: str | None = None, **options: object) -> None:
        super().__init__(render_mode)
        self.options = PocOptions.parse(**options)
        self._take(PocCore(1, self.options))
        self._pickups = Pickups() if render_mode is not None else None

    def render(self) -> Any:
        """The day as a map, uint8 (540, 960, 3)."""
        if self._pickups is None:
            return None
        from compagnon.worlds.dispatch_poc.render import to_image

        return to_image(PocSnapshot.of(self._core.days, self.kpis(), self._pickups.recent))

    def _before(self, action: int) -> None:
        if self._pickups is not None:
            self._pickups.note(self._core.days, action)

    def _picture_anew(self) -> None:
        if self._pickups is not None:
            self._pickups.clear()

    def _standing(self) -> tuple[bool, bool]:
        row = self._core.days.state[0]
        return bool(row[arrays.EPISODE] > 0), bool(row[arrays.TICK] >= self._core.params.ticks)
