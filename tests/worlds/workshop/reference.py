"""The workshop's rules a second time, in plain Python, to hold the compiled kernel against.

Nothing of the package is imported. Machines are lists of minutes to work, deliveries a dictionary,
random numbers Python integers, so that the two can hardly share a mistake.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field

_64 = 2**64 - 1
WEEK = 10_080


def mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _64
    return value ^ (value >> 31)


def uniform(seed: int, stream: int, index: int) -> float:
    return (mix(mix(seed ^ mix(stream)) ^ index) >> 11) / 2**53


def poisson(mean: float, u: float) -> int:
    """The smallest k with P(at most k) > u."""
    k, total = 0, math.exp(-mean)
    while u >= total:
        k += 1
        term = math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else 0.0
        if not term:
            break
        total += term
    return k


def geometric(mean: float, u: float) -> int:
    return 1 if mean <= 1 else 1 + math.floor(math.log(1 - u) / math.log(1 - 1 / mean))


@dataclass(frozen=True)
class Rules:
    """Every number of the rules, so that a test can get one of them wrong on purpose."""

    cap: int = 50
    first_raw: int = 10
    p1_minutes: int = 3
    step1_minutes: int = 10
    step2_minutes: int = 15
    delivery: int = 120
    delivery_spread: int = 2
    tick: int = 15
    theft_at: int = 23 * 60 + 55
    theft_kept: float = 0.9
    day_from: int = 8 * 60
    day_to: int = 20 * 60
    day_rate: float = 0.10
    night_rate: float = 0.02
    p1_share: float = 0.7
    p1_price: float = 2.0
    p2_price: float = 20.0
    raw_cost: float = 1.0
    backlog_cost: float = 0.02
    p1_bonus: float = 0.5
    step1_bonus: float = 5.0
    step2_bonus: float = 15.0
    wait_cost: float = 0.2
    invalid_cost: float = 1.0
    demand_memory: float = 0.8
    demand_stream: int = 1
    delivery_stream: int = 2
    rush_stream: int = 3
    m1_fails_stream: int = 4
    m1_repair_stream: int = 5
    m2_fails_stream: int = 6
    m2_repair_stream: int = 7


@dataclass
class Machine:
    """`minutes` holds, for each minute still to work, what comes out at its end (or None)."""

    minutes: list = field(default_factory=list)
    task: int = 0
    setup: int = 0
    down: int = 0

    @property
    def free(self) -> bool:
        return not self.minutes and not self.down

    def units_left(self, name: str) -> int:
        return self.minutes.count(name)


class ReferenceShop:
    """One shop. `demand_factor` is the preset's; `book` is [week][tick] -> (p1, p2)."""

    def __init__(
        self, seed, *, rules=None, reward="published", demand_factor=1.0, book=None,
        decision_points=False, setup_minutes=0, minutes_between_failures=0.0, repair_minutes=60.0,
        calm_factor=1.0, rush_factor=1.0, calm_minutes=0.0, rush_minutes=480.0,
    ):  # fmt: skip
        self.rules = rules or Rules()
        self.env_seed = seed
        self.profit_only = reward == "profit"
        self.demand_factor = demand_factor
        self.book = book
        self.decision_points = decision_points
        self.setup_minutes = setup_minutes
        self.failure = 1 / minutes_between_failures if minutes_between_failures else 0.0
        self.failure = min(1.0, self.failure)
        self.repair_minutes = repair_minutes
        self.calm_factor, self.rush_factor = calm_factor, rush_factor
        self.calm_minutes, self.rush_minutes = calm_minutes, rush_minutes
        self.episode = 0

    def begin(self):
        r = self.rules
        self.seed = mix(mix(self.env_seed) ^ self.episode)
        self.week = (self.env_seed + self.episode) % len(self.book) if self.book else 0
        self.episode += 1
        self.time = 0
        self.m1, self.m2 = Machine(), Machine()
        self.ready_for = 0
        self.stock = {"raw": r.first_raw, "p1": 0, "p2_inter": 0, "p2": 0}
        self.backlog = {"p1": 0, "p2": 0}
        self.coming = defaultdict(int)
        self.rush = False
        self.recent = 0.0
        self.last = (4, 0, 200)
        self.total = self.last_reward = 0.0
        self.totals = defaultdict(float)
        self.count = defaultdict(int)

    # One minute.

    def put(self, name, units):
        room = self.rules.cap - self.stock[name]
        self.stock[name] += min(room, units)
        self.count["overflow"] += max(0, units - room)

    def act(self, action):
        r, m1, m2 = self.rules, self.m1, self.m2
        if action == 200:
            self.terms["wait_cost"] -= r.wait_cost
            self.count["waits"] += 1
            self.last = (4, 0, 200)
            return
        family, k = action // 50, action % 50 + 1
        self.last = (family, k, action)
        if family == 3:
            self.terms["raw_cost"] -= r.raw_cost * k
            self.count["raw_ordered"] += k
            choices = range(-r.delivery_spread, r.delivery_spread + 1)
            delay = choices[int(len(choices) * uniform(self.seed, r.delivery_stream, self.time))]
            self.coming[self.time + r.delivery + delay] += k
            return
        source, machine = ("p2_inter", m2) if family == 2 else ("raw", m1)
        if not machine.free or self.stock[source] < k:
            self.terms["invalid_cost"] -= r.invalid_cost
            return
        self.stock[source] -= k
        self.count["launches"] += 1
        length = (r.p1_minutes, r.step1_minutes, r.step2_minutes)[family]
        result = ("p1", "p2_inter", "p2")[family]
        machine.minutes = ([None] * (length - 1) + [result]) * k
        self.terms["launch_bonus"] += (r.p1_bonus, r.step1_bonus, r.step2_bonus)[family] * k
        if family < 2:
            machine.task = family + 1
            if self.ready_for not in (0, family + 1):
                machine.setup = self.setup_minutes
            self.ready_for = family + 1

    def work(self, machine, name):
        """One minute; what came out of the machine, and whether it came free."""
        if machine.down or not machine.minutes:
            return None, False
        self.count[f"{name}_busy"] += 1
        if machine.setup:
            machine.setup -= 1
            self.count["setup"] += 1
            return None, False
        made = machine.minutes.pop(0)
        if made:
            self.put(made, 1)
        if not machine.minutes:
            machine.task = 0
        return made, not machine.minutes

    def demand(self):
        r = self.rules
        tick = self.time // r.tick - 1
        if self.calm_minutes:
            u = uniform(self.seed, r.rush_stream, tick)
            mean = self.rush_minutes if self.rush else self.calm_minutes
            if u < min(1.0, r.tick / mean):
                self.rush = not self.rush
        if self.book:
            return self.book[self.week][tick]
        by_day = r.day_from <= self.time % 1440 < r.day_to
        rate = (r.day_rate if by_day else r.night_rate) * self.demand_factor
        rate *= self.rush_factor if self.rush else self.calm_factor
        n = poisson(r.tick * rate, uniform(self.seed, r.demand_stream, tick))
        return int(r.p1_share * n), n - int(r.p1_share * n)

    def trade(self):
        r = self.rules
        asked = dict(zip(("p1", "p2"), self.demand(), strict=True))
        sold_any = False
        for name, price in (("p1", r.p1_price), ("p2", r.p2_price)):
            self.backlog[name] += asked[name]
            sold = min(self.stock[name], self.backlog[name])
            self.stock[name] -= sold
            self.backlog[name] -= sold
            self.terms[f"sales_{name}"] += price * sold
            self.count[f"demand_{name}"] += asked[name]
            self.count[f"sold_{name}"] += sold
            self.count[f"backlog_{name}"] += self.backlog[name]
            sold_any |= sold > 0
        self.terms["backlog_cost"] -= r.backlog_cost * sum(self.backlog.values())
        asked_now = sum(asked.values())
        self.recent = r.demand_memory * self.recent + (1 - r.demand_memory) * asked_now
        return asked_now > 0 or sold_any

    def break_down(self):
        r, changed = self.rules, False
        streams = {
            "m1": (self.m1, r.m1_fails_stream, r.m1_repair_stream),
            "m2": (self.m2, r.m2_fails_stream, r.m2_repair_stream),
        }
        for name, (machine, fails, repair) in streams.items():
            if machine.down:
                self.count[f"{name}_down"] += 1
                machine.down -= 1
                changed |= not machine.down
            elif uniform(self.seed, fails, self.time) < self.failure:
                u = uniform(self.seed, repair, self.time)
                machine.down = geometric(self.repair_minutes, u)
                changed = True
        return changed

    def minute(self, action):
        """Play one minute; whether it ended at a decision point."""
        r = self.rules
        self.act(action)
        m2_idle = not self.m2.minutes
        made, event = self.work(self.m1, "m1")
        event |= made == "p2_inter" and m2_idle
        event |= self.work(self.m2, "m2")[1]
        if self.time in self.coming:
            self.put("raw", self.coming.pop(self.time))
            event = True
        self.count["transit"] += sum(self.coming.values())
        self.time += 1
        if self.time % r.tick == 0:
            event |= self.trade()
        if self.time % 1440 == r.theft_at:
            for name in ("p1", "p2"):
                kept = int(r.theft_kept * self.stock[name])
                self.count["theft"] += self.stock[name] - kept
                self.stock[name] = kept
        if self.failure:
            event |= self.break_down()
        return event

    # What is seen.

    def step(self, action):
        """Play one action: (reward, terminated, elapsed, terms)."""
        before = self.time
        self.terms = dict.fromkeys(
            ("sales_p1", "sales_p2", "raw_cost", "backlog_cost",
             "launch_bonus", "wait_cost", "invalid_cost"), 0.0
        )  # fmt: skip
        event = self.minute(action)
        while self.decision_points and action == 200 and not event and self.time < WEEK:
            event = self.minute(action)
        paid = list(self.terms.values())[: 4 if self.profit_only else 7]
        self.last_reward = math.fsum(paid)
        self.total += self.last_reward
        for name, amount in self.terms.items():
            self.totals[name] += amount
        return self.last_reward, self.time >= WEEK, self.time - before, self.terms

    def fields(self):
        clock = self.time % 1440
        m1, m2 = self.m1, self.m2
        return {
            "time": self.time,
            "m1_busy": bool(m1.minutes),
            "m1_time_left": len(m1.minutes) + m1.setup,
            "m2_busy": bool(m2.minutes),
            "m2_time_left": len(m2.minutes),
            **self.stock,
            "next_delivery": min(self.coming) - self.time if self.coming else 0,
            "backlog_p1": self.backlog["p1"],
            "backlog_p2": self.backlog["p2"],
            "raw_in_transit": sum(self.coming.values()),
            "last_family": self.last[0],
            "last_k": self.last[1],
            "last_action": self.last[2],
            "minute_of_day": clock,
            "backlog_p1_value": 2 * self.backlog["p1"],
            "backlog_p2_value": 20 * self.backlog["p2"],
            "theft_risk": 22 * 60 + 55 <= clock < 23 * 60 + 55,
            "reward_total": self.total,
            "last_reward": self.last_reward,
            "next_sale": 15 - self.time % 15,
            "m1_task": m1.task,
            "m1_p1_left": m1.units_left("p1"),
            "m1_p2_inter_left": m1.units_left("p2_inter"),
            "m2_p2_left": m2.units_left("p2"),
            "m1_ready_for": self.ready_for,
            "m1_down": m1.down > 0,
            "m2_down": m2.down > 0,
            "recent_demand": self.recent,
            "time_left": WEEK - self.time,
        }

    def mask(self):
        raw = self.stock["raw"] if self.m1.free else 0
        half = self.stock["p2_inter"] if self.m2.free else 0
        sizes = range(1, 51)
        m1 = [k <= raw for k in sizes]
        return [*m1, *m1, *(k <= half for k in sizes), *[True] * 51]

    def kpis(self):
        c, minutes, ticks = self.count, max(self.time, 1), max(self.time // 15, 1)
        money = {name: self.totals[name] for name in (
            "sales_p1", "sales_p2", "raw_cost", "backlog_cost",
            "launch_bonus", "wait_cost", "invalid_cost",
        )}  # fmt: skip
        return {
            "profit": sum(list(money.values())[:4]),
            "published_reward": sum(money.values()),
            **money,
            "served_share_p1": c["sold_p1"] / max(c["demand_p1"], 1),
            "served_share_p2": c["sold_p2"] / max(c["demand_p2"], 1),
            "mean_backlog_p1": c["backlog_p1"] / ticks,
            "mean_backlog_p2": c["backlog_p2"] / ticks,
            "final_backlog_p1": self.backlog["p1"],
            "final_backlog_p2": self.backlog["p2"],
            "overflow": c["overflow"],
            "theft": c["theft"],
            "m1_utilisation": c["m1_busy"] / minutes,
            "m2_utilisation": c["m2_busy"] / minutes,
            "mean_raw_in_transit": c["transit"] / minutes,
            "raw_ordered": c["raw_ordered"],
            "launches": c["launches"],
            "waits": c["waits"],
            "m1_down_share": c["m1_down"] / minutes,
            "m2_down_share": c["m2_down"] / minutes,
            "setup_share": c["setup"] / minutes,
            "demand_p1": c["demand_p1"],
            "demand_p2": c["demand_p2"],
        }
