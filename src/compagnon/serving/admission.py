"""Who comes in while more ask than can be served: early, cheaply, and the rest is not slowed.

Two queues form. One is of requests under way, most of which wait for the log: it may be long for a
moment, but when nobody has waited less than `TARGET` for a while it only makes everybody late
(Nichols and Jacobson, Controlling Delay, 2012), and shrinks to what is answered within that time.
The other stands before us, in the sockets: the loop sees it as a turn that takes long, so that what
comes late in such a turn is sent away.

Whoever is sent away is told when to come back: in as many seconds as those outside take to be
served. If it asks at once, it waits for its turn: to refuse it again would cost more than that.
Each whose turn comes has cost a refusal, which is a fifth of an answer. So of those who are let in
a third come from outside; the others are who just came.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

TARGET: Final = 0.2  # seconds that a decision may wait, when all of them do
INTERVAL: Final = 0.1  # seconds over which the one that waited least is looked for
TURN: Final = 0.05  # seconds of one turn of the loop, in which requests are begun
FLOOR: Final = 64  # requests under way that are always let in: the log writes as many at once
BACK_SECONDS: Final = 30  # the most that Retry-After says
_EACH: Final = 3  # answers for one turn of those outside
_TICK: Final = 0.02


class Admission:
    """Adapts how many requests may be under way.

    Args:
        most: of them, ever.

    Attributes:
        limit: of them, now.
        answered: requests, so far.
        rate: of those, a second, lately; 0 before anybody knows.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.limit = self._most = most
        self._clock = clock
        self._turn: float | None = None
        self._let_in = 0  # in this turn
        self._since = self._last = clock()
        self._least = float("inf")
        self._most_active = 0
        self.answered = self._before = 0
        self.rate = 0.0

    def begin(self, call_soon: Callable[[Callable[[], None]], object]) -> float:
        """When the request that is here came at the latest: when this turn of the loop began."""
        if self._turn is None:
            self._turn, self._let_in = self._clock(), 0
            call_soon(self._turned)
        return self._turn

    def is_full(self, active: int, begun: float) -> bool:
        """Whether a request that came at `begun` is sent away, with so many under way."""
        if active == 0 and self._clock() - self._last > INTERVAL:
            self._forget()
        # A turn may be long because others have the processor: some are let in all the same.
        late = self._let_in >= FLOOR and self._clock() - begun > TURN
        if late or active >= self.limit:
            return True
        self._let_in += 1
        return False

    def ended(self, seconds: float, active: int) -> None:
        """A request was answered after so long; so many others are under way."""
        self.answered += 1
        if seconds < self._least:
            self._least = seconds
        if active > self._most_active:
            self._most_active = active
        self._last = now = self._clock()
        if now - self._since >= INTERVAL:
            self.rate = (self.answered - self._before) / (now - self._since)
            self._adapt()
            self._begin_interval(now)

    def _turned(self) -> None:
        self._turn = None

    def _begin_interval(self, now: float) -> None:
        self._since, self._least, self._before = now, float("inf"), self.answered
        self._most_active = 0

    def _forget(self) -> None:
        """Nobody was here for a while: no queue stands, and such a time says nothing of a rate."""
        self.limit = self._most
        self._begin_interval(self._clock())

    def _adapt(self) -> None:
        # Where few are under way they are slow, not many: to let in fewer would help nobody.
        if self._least > TARGET and self._most_active >= FLOOR:
            within = int(self.rate * TARGET)  # are answered in the time that one may wait
            self.limit = min(self.limit, max(FLOOR, within))
        else:
            self.limit = min(self._most, self.limit + max(1, self.limit // 8))


class Muted(Protocol):
    """A connection that is not listened to for a while."""

    def listen_again(self) -> bool:
        """Listen to it again; whether it had something to say."""
        ...


class Outside:
    """Connections that were sent away, in their order: heard again as others are answered.

    Args:
        admission: says how fast that is.
        active: how many requests are under way.
    """

    def __init__(self, admission: Admission, active: Callable[[], int]) -> None:
        self._admission = admission
        self._active = active
        self._waiting: deque[Muted] = deque()
        self._ticking = False
        self._sent_away = False  # somebody was, since the last tick
        self._answered = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def seconds(self) -> int:
        """What Retry-After says to the next one: 1 to `BACK_SECONDS`."""
        rate = self._admission.rate
        ahead = math.ceil(_EACH * len(self._waiting) / rate) if rate else 1
        return max(1, min(BACK_SECONDS, ahead))

    def add(self, connection: Muted, loop: Any) -> None:
        """Do not listen to this one before it is its turn."""
        self._waiting.append(connection)
        self._sent_away = True
        if not self._ticking:
            self._ticking = True
            self._answered = self._admission.answered
            loop.call_later(_TICK, self._tick, loop)

    def _tick(self, loop: Any) -> None:
        answered, active = self._admission.answered, self._active()
        turns = (answered - self._answered) // _EACH
        self._answered += _EACH * turns  # those that are over count in the next tick
        if active < FLOOR and not self._sent_away:  # there is nothing to do: they may be more
            turns += FLOOR
        self._sent_away = False
        turns = min(turns, self._admission.limit - active)
        while turns > 0 and self._waiting:
            turns -= self._waiting.popleft().listen_again()  # who left, or waits, takes no turn
        self._ticking = bool(self._waiting)
        if self._ticking:
            loop.call_later(_TICK, self._tick, loop)
