"""`compagnon/Dispatch-v1`: booked rides, drivers, and what to do with each request."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.decisions import DecisionEnv
from compagnon.worlds.dispatch import running_days
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.fields import Layout
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.kernel import WAIT
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.options import DispatchOptions


class DispatchEnv(DecisionEnv):
    """A day of booked passenger transport.

    ## Description
    People ask for rides, some the day before, some on the same day, some when their treatment is
    over. Drivers with different vehicles take them, several at a time where seats, windows and
    riding times allow. At each decision one open booking is accepted, into one driver's plan at its
    cheapest feasible place, or declined, or an accepted one moves to another driver or place, or
    time passes: to the next news, and no longer than `look_again` minutes while a booking is open.

    To accept is not to assign for good: until `freeze` minutes before the driver sets out for it a
    ride may move. A caller without an answer costs something every minute. Who was brought, or is
    promised to be, must get home: to decline that ride orders a taxi.

    A day moves by events. A driver leaves just in time for the next stop of the plan, and later
    where he would only wait with riders on board; until then the plan may change. A booking that
    nobody took when its pickup window ends is declined.
    Windows, seats, longest rides, breaks and shifts are kept by every plan. A door that takes
    longer than planned makes people late; and so may a ride that falls away before a break,
    which is then taken where the driver stands.

    Requests, delays, cancellations and no-shows are drawn from the seed before the day begins:
    two policies meet the same day.

    ## Action space: `Discrete(1 + D x B + B)`, D drivers, B places on the board
    | action | meaning | possible |
    |---|---|---|
    | 0 | let time pass | always |
    | 1 + d x B + j | driver d takes the booking at place j | a feasible insertion exists; for one \
    who has it already, a cheaper one |
    | 1 + D x B + j | decline the booking at place j | place j holds an open one |

    The board shows the open bookings with the earliest deadlines; the others wait behind it. The
    places that are left show the accepted rides that may still move, those first whose drivers set
    out first; each moves once at one clock time. With no open booking dispatch is asked where a
    move saves `move_worth`. An action that is not possible costs `impossible`, time passes, and
    `info["possible"]` is False. Of many copies at once (`gymnasium.make_vec`) it is refused with an
    error.

    ## Observation space: `Box(..., float32)`
    Named fields in physical units, in four groups one after the other: `fields.GLOBAL`; D times
    `fields.DRIVER`; B times `fields.BOOKING`; D x B times `fields.PAIR`. `layout` says where each
    begins. Rows of drivers and places that are not there are 0, and so are pairs without a feasible
    insertion.

    ## Reward
    Minus what the step added to the day's cost, so that the return is minus the whole cost.
    | part | a unit of what | option |
    |---|---|---|
    | rejected | ride refused or missed | reject_base + reject_priority x priority |
    | late | minute after the end of a pickup or drop-off window | late |
    | wait | minute of waiting for the pickup beyond `promise` | wait |
    | ride | minute on board beyond the direct ride | ride |
    | km | kilometre driven | km |
    | overtime | minute of a driver after the shift | overtime |
    | answer | minute that a caller waits to be told yes or no | answer and the two beside it |
    | taxi | taxi for who must get home | taxi_base + taxi_km x road kilometres |
    | promise | accepted ride that cannot be given | broken |
    | move | accepted ride that is moved | move |
    | impossible | impossible action that was asked for | impossible |

    Refusing a ride refuses the way back that hangs on it too, and costs both.

    ## Start
    When the first shift begins, or the first call comes. A reset with a seed begins that seed's
    first day; one without begins the next day of the same seed.

    ## End
    Terminated when every ride is done or given up and every driver is home; never truncated.

    ## Arguments
    The fields of `options.DispatchOptions`, and
    | argument | default | meaning |
    |---|---|---|
    | instances | None | days (`Instance`) to replay in turn, from day ``seed % days`` on |
    | render_mode | None | `rgb_array` |

    ## Info
    `action_mask` (bool (A,)); after a step also `possible` (whether the action was), `elapsed`
    (full minutes of the clock; 0 between decisions at one clock time) and `reward_terms` (float64
    (11,), in the order of `reward_term_names`); after the last step also `kpis` (a dict with
    `kpi_names`).

    ## Version history
    * v1: accepted rides may move until they are locked; answers have a price; who must get home
      gets a taxi; broken promises are counted; nobody waits in a parked car for a door to open;
      impossible actions are charged; the observation says what declining costs, what is promised,
      and what the others miss. In v0 an answer cost nothing, so that the best rules left callers
      without one for hours, and an accepted ride never moved.
    * v0: initial version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's base class declares it so)
        "render_modes": ["rgb_array"],
        "render_fps": 8,
    }
    reward_term_names = running_days.REWARD_TERMS
    episode = "the day"
    kpi_names = KPI_NAMES

    def __init__(
        self,
        render_mode: str | None = None,
        instances: list[Instance] | None = None,
        **options: object,
    ) -> None:
        super().__init__(render_mode)
        self.options = DispatchOptions.parse(**options)
        self._take(DispatchCore(1, self.options, instances))

    def step(
        self, action: np.int64 | int
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take one decision; one that is not possible costs `impossible`, and time passes.

        So Gymnasium's checker, and libraries that know no masks, can play.

        Raises:
            InputError: there is no such action.
            gymnasium.error.ResetNeeded: the day has not begun, or is over.
        """
        mask = self._core.out.mask[0]
        refused = 0 <= action < len(mask) and not mask[action] and not self._needs_reset
        if refused:
            self.world.money[0, running_days.PENDING] = self.options.impossible
        obs, reward, terminated, truncated, info = super().step(WAIT if refused else action)
        info["possible"] = not refused
        return obs, reward, terminated, truncated, info

    @property
    def layout(self) -> Layout:
        """Where the groups of fields stand in an observation."""
        layout: Layout = self._core.layout
        return layout

    @property
    def world(self) -> running_days.RunningDays:
        """The running day's own arrays, with a leading axis of one; to be read, not written."""
        world: running_days.RunningDays = self._core.worlds
        return world

    def render(self) -> Any:
        """The day as a map, uint8 (720, 1080, 3)."""
        if self.render_mode is None:
            return None
        from compagnon.worlds.dispatch.render import to_image

        return to_image(self._core.worlds)

    def _standing(self) -> tuple[bool, bool]:
        count = self._core.worlds.counts[0]
        return bool(count[running_days.EPISODE] > 0), bool(count[running_days.DONE])
