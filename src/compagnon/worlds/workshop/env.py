"""`compagnon/Workshop-v0`: the production workshop as one Gymnasium environment."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.decisions import DecisionEnv
from compagnon.worlds.workshop import arrays, constants
from compagnon.worlds.workshop.core import WorkshopCore
from compagnon.worlds.workshop.kpis import KPI_NAMES
from compagnon.worlds.workshop.options import WorkshopOptions
from compagnon.worlds.workshop.snapshot import History, WorkshopSnapshot, to_text


class WorkshopEnv(DecisionEnv):
    """A workshop with two machines: what to make, how many, and when to order raw material.

    ## Description
    Customers ask for two products. P1 takes one machine, P2 takes both: M1 makes a half-finished
    P2 (step 1), M2 finishes it (step 2). Raw material is ordered and arrives two hours later. An
    episode is one week, one step is one minute (or, with `decision_points`, one decision).

    | work | machine | minutes a unit | takes | gives |
    |---|---|---|---|---|
    | P1 | M1 | 3 | 1 raw | 1 P1 |
    | P2 step 1 | M1 | 10 | 1 raw | 1 half-finished P2 |
    | P2 step 2 | M2 | 15 | 1 half-finished P2 | 1 P2 |

    A batch takes all its inputs at launch, gives its units one by one, and leaves the machine free
    at the last one. Each of the four stocks holds at most 50; what comes above is lost. An order
    arrives after 118 to 122 minutes, each as likely. Every 15 minutes customers ask for n units,
    n ~ Poisson(15 x rate), with a rate of 0.10 a minute from 08:00 to 20:00 and 0.02 otherwise;
    int(0.7 n) of them are P1. What is in stock is sold, the rest waits in the backlog for ever. At
    23:55 thieves leave int(0.9 x stock) of P1 and of P2.

    One minute goes: the action; M1; M2; deliveries due; the clock; every 15 minutes demand, sales
    and backlog penalty; theft; failures and repairs. Demand, delays, rushes and breakdowns depend
    on the seed and the clock alone, so two policies meet the same week.

    ## Action space: `Discrete(201)`
    | action | meaning | possible (else it costs 1 and changes nothing) |
    |---|---|---|
    | 0-49 | make k = a + 1 P1 | M1 free and up, raw >= k |
    | 50-99 | make k = a - 49 half-finished P2 (step 1) | M1 free and up, raw >= k |
    | 100-149 | finish k = a - 99 P2 (step 2) | M2 free and up, p2_inter >= k |
    | 150-199 | order k = a - 149 raw | always |
    | 200 | wait | always |

    ## Observation space: `Box`, float32
    The fields that `observation` names, in physical units or divided by the published divisor.

    | # | field | unit | range | divisor | meaning |
    |---|---|---|---|---|---|
    | 0 | time | min | 0 to 10,080 | 10,080 | minutes since the week began |
    | 1 | m1_busy | 0/1 | 0 to 1 | 1 | M1 is working |
    | 2 | m1_time_left | min | 0 to 10,000 | 100 | work left on M1, set-up included |
    | 3 | m2_busy | 0/1 | 0 to 1 | 1 | M2 is working |
    | 4 | m2_time_left | min | 0 to 10,000 | 100 | work left on M2 |
    | 5 | raw | units | 0 to 50 | 50 | raw material in stock |
    | 6 | p1 | units | 0 to 50 | 50 | finished P1 in stock |
    | 7 | p2_inter | units | 0 to 50 | 50 | half-finished P2 in stock |
    | 8 | p2 | units | 0 to 50 | 50 | finished P2 in stock |
    | 9 | next_delivery | min | 0 to 122 | 10,080 | minutes to the next delivery, 0 if none |
    | 10 | backlog_p1 | units | 0 to 100,000 | 1,000 | P1 asked for and not yet sold |
    | 11 | backlog_p2 | units | 0 to 100,000 | 1,000 | P2 asked for and not yet sold |
    | 12 | raw_in_transit | units | 0 to 100,000 | 1,000 | raw ordered and not yet delivered |
    | 13 | last_family | 0-4 | 0 to 4 | 4 | last action: P1, step 1, step 2, order, wait |
    | 14 | last_k | units | 0 to 50 | 50 | last action's batch size |
    | 15 | last_action | id | 0 to 200 | 200 | last action's number |
    | 16 | minute_of_day | min | 0 to 1,439 | 1,440 | minutes since midnight |
    | 17 | backlog_p1_value | money | 0 to 200,000 | 2,000 | 2 x backlog_p1 |
    | 18 | backlog_p2_value | money | 0 to 2,000,000 | 20,000 | 20 x backlog_p2 |
    | 19 | theft_risk | 0/1 | 0 to 1 | 1 | in the hour before 23:55 |
    | 20 | reward_total | reward | within 1,000,000 | 1,000,000 | reward since the week began |
    | 21 | last_reward | reward | within 1,000,000 | 100,000 | reward of the last step |
    | 22 | next_sale | min | 1 to 15 | 15 | minutes to the next demand and sales |
    | 23 | m1_task | 0-2 | 0 to 2 | 2 | what M1 makes: nothing, P1, P2 step 1 |
    | 24 | m1_p1_left | units | 0 to 50 | 50 | P1 still to come out of M1 |
    | 25 | m1_p2_inter_left | units | 0 to 50 | 50 | half-finished P2 still to come out of M1 |
    | 26 | m2_p2_left | units | 0 to 50 | 50 | P2 still to come out of M2 |
    | 27 | m1_ready_for | 0-2 | 0 to 2 | 2 | what M1 is set up for: nothing yet, P1, P2 step 1 |
    | 28 | m1_down | 0/1 | 0 to 1 | 1 | M1 is broken down |
    | 29 | m2_down | 0/1 | 0 to 1 | 1 | M2 is broken down |
    | 30 | recent_demand | units/15 min | 0 to 100,000 | 10 | moving average of demand, 75 minutes |
    | 31 | time_left | min | 0 to 10,080 | 10,080 | minutes to the week's end |

    Sets: `full` is 0-22, the published vector; `compact` is 0-12, its core; `state` is 1-12, 16, 22
    and 23-31: what a policy needs, with the other half of the calendar and what the machines make.
    Faults of the published vector, kept for comparison: 17 and 18 repeat 10 and 11; 9-12, 20 and
    21 are all but constant after division; 13-15, 20 and 21 leak the agent's own past; and what M1
    is making is not observed. Rushes are never observed; `recent_demand` hints at them.

    ## Reward
    | term | amount | `published` | `profit` |
    |---|---|---|---|
    | sales_p1 | +2 a P1 sold | yes | yes |
    | sales_p2 | +20 a P2 sold | yes | yes |
    | raw_cost | -1 a unit ordered | yes | yes |
    | backlog_cost | -0.02 a unit of backlog, every 15 minutes | yes | yes |
    | launch_bonus | +0.5 k (P1), +5 k (step 1), +15 k (step 2) | yes | no |
    | wait_cost | -0.2 a minute waited | yes | no |
    | invalid_cost | -1 an impossible launch | yes | no |

    ## Start
    Monday 00:00, 10 raw, other stocks empty, both machines free and M1 set up for nothing. A reset
    with a seed begins that seed's first week; one without begins the next week of the same seed.

    ## End
    Terminated at minute 10,080, never truncated.

    ## Arguments
    | argument | default | meaning |
    |---|---|---|
    | reward | `published` | `published` or `profit` |
    | demand | `published` | `published`; `tight`, rates x 2; `overload`, x 3; or an order book |
    | observation | `full` | `full`, `compact`, `state`, or a list of field names |
    | scaling | `physical` | `physical` or `published` |
    | decision_points | False | see below |
    | setup_minutes | 0 | minutes M1 sets up when it changes product; the first is free |
    | minutes_between_failures | 0 | mean, for each machine, working or not; 0 for never |
    | repair_minutes | 60 | mean of a repair (geometric); work goes on where it stopped |
    | calm_factor | 1 | demand factor while there is no rush |
    | rush_factor | 1 | demand factor in a rush |
    | calm_minutes | 0 | mean minutes (geometric, by 15) until a rush; 0 for no rush ever |
    | rush_minutes | 480 | mean minutes (geometric, by 15) of a rush |
    | render_mode | None | `rgb_array` (540, 960, 3) or `ansi` |

    With `decision_points`, waiting lasts until a machine comes free, fails or is repaired, an idle
    M2 gets a half-finished P2, a delivery comes, something is asked for or sold, or the week ends;
    its reward is the sum over its minutes, which `info["elapsed"]` counts. Every other action still
    takes one minute.

    An order book is the path of a CSV file (``time,product,quantity``, see `order_book`); its weeks
    follow one another from week ``seed % weeks`` on. Rates and rushes do not touch it.

    ## Info
    `action_mask` (bool (201,), the possible actions); after a step also `elapsed` (minutes) and
    `reward_terms` (float64 (7,), in the order of `reward_term_names`, all seven in both profiles);
    after the last step also `kpis` (a dict with `kpi_names`).

    ## Version history
    * v0: initial version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's base class declares it so)
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 15,
    }
    reward_term_names = constants.REWARD_TERMS
    episode = "the week"
    kpi_names = KPI_NAMES

    def __init__(self, render_mode: str | None = None, **options: object) -> None:
        super().__init__(render_mode)
        self.options = WorkshopOptions.parse(**options)
        self._take(WorkshopCore(1, self.options))
        self._history = History() if render_mode == "rgb_array" else None

    def render(self) -> Any:
        """The shop as a picture, uint8 (540, 960, 3) (`rgb_array`), or as text (`ansi`)."""
        if self.render_mode is None:
            return None
        shop = WorkshopSnapshot.of(*self._rows())
        if self._history is None:
            return to_text(shop)
        from compagnon.worlds.workshop.render import to_image

        return to_image(shop, self._history.rows)

    def _rows(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        shops = self._core.shops
        return shops.state[0], shops.money[0], shops.counters[0]

    def _after(self) -> None:
        if self._history is not None:
            self._history.append(*self._rows())

    def _picture_anew(self) -> None:
        if self._history is not None:
            self._history.begin(*self._rows())

    def _standing(self) -> tuple[bool, bool]:
        row = self._core.shops.state[0]
        return bool(row[arrays.EPISODE] > 0), bool(row[arrays.TIME] >= constants.EPISODE_MINUTES)
