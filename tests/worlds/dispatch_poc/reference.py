"""The proof of concept a second time, in plain Python, to hold the compiled kernel against.

Nothing of the package is imported. Bookings are dictionaries in a list, distances come from the
textbook's haversine, nothing is cached, so that the two can hardly share a mistake.
"""

import math
import statistics

_64 = 2**64 - 1
CENTRE = (46.2044, 6.1432)


def mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _64
    return value ^ (value >> 31)


def uniform(seed: int, stream: int, index: int) -> float:
    return (mix(mix(seed ^ mix(stream)) ^ index) >> 11) / 2**53


def haversine(one, other) -> float:
    """Kilometres between two (lat, lon) in degrees."""
    lat, lon, to_lat, to_lon = map(math.radians, (*one, *other))
    a = math.sin((to_lat - lat) / 2) ** 2
    a += math.cos(lat) * math.cos(to_lat) * math.sin((to_lon - lon) / 2) ** 2
    return 2 * 6371 * math.atan2(math.sqrt(a), math.sqrt(1 - a))


def traffic(hour: float) -> float:
    if 8 <= hour < 9 or 17 <= hour < 18:
        return 0.8
    return 0.5 if 12 <= hour < 14 else 0.3


def demand(hour: float) -> float:
    if 8 <= hour < 9.5 or 17 <= hour < 18.5:
        return 0.5
    return 0.35 if 12 <= hour < 14 else 0.2


class ReferenceDay:
    """One day; `step` gives (reward, over)."""

    def __init__(self, drivers=10, slots=20, hours=8, assignments_per_tick=1, faults=False):
        self.n, self.m, self.hours = drivers, slots, hours
        self.per_tick, self.faults = assignments_per_tick, faults

    def reset(self, seed: int, episode: int = 0) -> None:
        self.seed = mix(mix(seed) ^ episode)
        self.now = self.made = 0
        self.drivers = [{"at": CENTRE, "load": 0, "given": 0} for _ in range(self.n)]
        self.board = []
        self.figures = dict.fromkeys(
            ("reward", "assigned", "cancelled", "late", "demand", "turned_away", "invalid",
             "waits", "decisions", "km", "minutes_late", "waited", "grades"), 0.0,
        )  # fmt: skip
        self.arrive(3 + math.floor(5 * uniform(self.seed, 2, 0)))

    @property
    def hour(self) -> float:
        return 8 + self.now / 60

    def arrive(self, count: int) -> None:
        tick = self.now // 5
        for number in range(count):
            self.figures["demand"] += 1
            if len(self.board) == self.m:
                self.figures["turned_away"] += 1
                continue

            def draw(stream, index=8 * tick + number):
                return uniform(self.seed, stream, index)

            priority = 1 + math.floor(5 * draw(7))
            shortest, choices = (10, 20) if priority >= 4 else (20, 40)
            window = shortest + math.floor(choices * draw(8))
            self.board.append(
                {
                    "from": (CENTRE[0] - 0.1 + 0.2 * draw(3), CENTRE[1] - 0.1 + 0.2 * draw(4)),
                    "to": (CENTRE[0] - 0.1 + 0.2 * draw(5), CENTRE[1] - 0.1 + 0.2 * draw(6)),
                    "priority": priority,
                    "window": window,
                    "end": self.now + window,
                    "taken": False,
                }
            )

    def minutes(self, driver, booking) -> float:
        speed = 30 * (1 - 0.5 * traffic(self.hour))
        return haversine(driver["at"], booking["from"]) / speed * 60

    def believed(self, driver, booking) -> float:
        if not self.faults:
            return self.minutes(driver, booking)
        slowed = 1 + 0.5 * traffic(self.hour)
        return haversine(driver["at"], booking["from"]) / 30 * 60 * slowed

    def mask(self) -> list[bool]:
        allowed = [True]
        for driver in self.drivers:
            for slot in range(self.m):
                booking = self.board[slot] if slot < len(self.board) else None
                allowed.append(
                    booking is not None
                    and not booking["taken"]
                    and driver["load"] < 3
                    and self.now + self.believed(driver, booking) <= booking["end"]
                )
        return allowed

    def spare(self) -> list[float]:
        mask = self.mask()
        return [
            self.board[slot]["end"] - self.now - self.believed(driver, self.board[slot])
            if mask[1 + number * self.m + slot]
            else 0.0
            for number, driver in enumerate(self.drivers)
            for slot in range(self.m)
        ]

    def obs(self) -> list[float]:
        """As published: every field divided."""
        seen = []
        for driver in self.drivers:
            seen += [(a - c) / 0.1 for a, c in zip(driver["at"], CENTRE, strict=True)]
            seen += [float(driver["load"] < 3), min(driver["load"] / 10, 1)]
        for slot in range(self.m):
            if slot >= len(self.board):
                seen += [0.0] * 4
                continue
            booking = self.board[slot]
            seen += [(a - c) / 0.1 for a, c in zip(booking["from"], CENTRE, strict=True)]
            seen += [booking["priority"] / 5, max(booking["end"] - self.now, 0) / 60]
        return [*seen, self.now / (60 * self.hours), traffic(self.hour)]

    def step(self, action: int) -> tuple[float, bool]:
        figures = self.figures
        figures["decisions"] += 1
        self.made += 1
        reward = self.act(action)
        if action == 0 or self.made == self.per_tick:
            reward += self.pass_tick()
        over = self.now == 60 * self.hours
        if over:
            reward += self.bonus()
        figures["reward"] += reward
        return reward, over

    def act(self, action: int) -> float:
        figures = self.figures
        if action == 0:
            figures["waits"] += 1
            return -1.0
        driver, slot = self.drivers[(action - 1) // self.m], (action - 1) % self.m
        if slot >= len(self.board) or self.board[slot]["taken"] or driver["load"] == 3:
            figures["invalid"] += 1
            return -10.0
        booking = self.board[slot]
        km, minutes = haversine(driver["at"], booking["from"]), self.minutes(driver, booking)
        late = max(0.0, self.now + minutes - booking["end"])
        reward = 50.0 - min(100.0, 5 * late)
        reward += 10.0 * (km < 5) + 20.0 * (booking["priority"] > 3)
        reward += 15.0 * (2 * minutes < booking["window"])
        waited = self.now + minutes - (booking["end"] - booking["window"])
        figures["assigned"] += 1
        figures["late"] += late > 0
        figures["km"] += km
        figures["minutes_late"] += late
        figures["waited"] += waited
        figures["grades"] += max(1.0, 5 - waited / 20 - late / 10)
        driver["load"] += 1
        driver["given"] += 1
        driver["at"] = booking["to"]
        if self.faults:
            booking["taken"] = True
        else:
            self.board.remove(booking)
        return reward

    def pass_tick(self) -> float:
        self.now += 5
        self.made = 0
        tick = self.now // 5
        if uniform(self.seed, 1, tick) < demand(self.hour):
            self.arrive(1 + math.floor(3 * uniform(self.seed, 2, tick)))
        over = [b for b in self.board if b["end"] <= self.now and not b["taken"]]
        self.board = [b for b in self.board if b not in over]
        self.figures["cancelled"] += len(over)
        self.figures["grades"] += len(over)
        for number, driver in enumerate(self.drivers):
            if driver["load"] and uniform(self.seed, 16 + number, tick) < 0.1:
                driver["load"] -= 1
        return -200.0 * sum(b["priority"] / 5 for b in over)

    def bonus(self) -> float:
        figures = self.figures
        assigned = figures["assigned"]
        bonus = 50.0 * (statistics.pstdev(d["given"] for d in self.drivers) < 1.5)
        bonus += 100.0 * self.completion()
        if assigned:
            bonus += 30.0 * (figures["km"] / assigned < 5)
            bonus -= 50.0 * (figures["late"] / assigned > 0.2)
        return bonus

    def completion(self) -> float:
        waiting = sum(not booking["taken"] for booking in self.board)
        accepted = self.figures["assigned"] + self.figures["cancelled"] + waiting
        return self.figures["assigned"] / max(1, accepted)

    def kpis(self) -> dict[str, float]:
        figures = self.figures
        served = max(1, figures["assigned"])
        return {
            "completion": self.completion(),
            "reward_per_step": figures["reward"] / (self.now / 5),
            "mean_distance": figures["km"] / served,
            "late_share": figures["late"] / served,
            "satisfaction": figures["grades"] / max(1, figures["assigned"] + figures["cancelled"]),
            "assignments": figures["assigned"],
            "cancellations": figures["cancelled"],
            "still_open": sum(not booking["taken"] for booking in self.board),
            "turned_away": figures["turned_away"],
            "demand": figures["demand"],
            "decisions": figures["decisions"],
            "waits": figures["waits"],
            "invalid": figures["invalid"],
            "mean_late_minutes": figures["minutes_late"] / served,
            "mean_wait": figures["waited"] / served,
            "workload_sd": statistics.pstdev(d["given"] for d in self.drivers),
        }
