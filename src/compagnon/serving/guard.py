"""Who may ask, and how often: keys by scope, compared in constant time, and token buckets."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from compagnon.serving.refusal import Refusal

DECIDE: Final = "decide"
OUTCOMES: Final = "outcomes"
ADMIN: Final = "admin"
SCOPES: Final = (DECIDE, OUTCOMES, ADMIN)
ANYBODY: Final = ""
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as the store keeps it: its name, the SHA-256 of its text, what it may do."""

    name: str
    sha256: str
    scopes: frozenset[str]


class Bucket:
    """Lets `rate` tokens a second pass, and at most one second's worth at once."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._tokens = self._size = max(rate, 1.0)
        self._then = clock()

    def take(self, count: int = 1) -> None:
        """Take tokens.

        Raises:
            Refusal: 429 with the seconds after which there are enough; 413 for more than ever.
        """
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._then) * self.rate)
        self._then = now
        if count > self._size:
            raise Refusal(
                413, f"{count:,} decisions at once are more than the limit of {self._size:,.0f}"
            )
        if count > self._tokens:
            seconds = math.ceil((count - self._tokens) / self.rate)
            raise Refusal(
                429, f"this key may ask for {self.rate:,g} decisions a second", None, seconds
            )
        self._tokens -= count


class Guard:
    """Checks keys and rates.

    Args:
        rate: decisions a second for each key, 0 for no limit.
        local: nobody but this machine can reach the service.
    """

    def __init__(
        self, rate: float, local: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._keys: tuple[KnownKey, ...] = ()
        self._open = local
        self._buckets: dict[str, Bucket] = {}

    @property
    def open(self) -> bool:
        """No key ever existed, so that anybody on this machine may use the service."""
        return self._open

    def learn(self, keys: Iterable[KnownKey]) -> None:
        """Take over the keys that the store has now."""
        self._keys = tuple(keys)
        # That all were revoked does not open the service to everybody.
        self._open = self._open and not self._keys
        names = {key.name for key in self._keys} | {ANYBODY}
        self._buckets = {name: b for name, b in self._buckets.items() if name in names}

    def check(self, authorization: bytes | None, scope: str, host: bytes | None = None) -> str:
        """The name of the key that a request carries.

        Raises:
            Refusal: 401 for no key or an unknown one, 403 for one without the scope.
        """
        if self._open:
            return self._check_local(scope, host)
        if authorization is None:
            raise Refusal(401, "give a key: Authorization: Bearer KEY", "authorization")
        kind, _, text = authorization.partition(b" ")
        digest = hashlib.sha256(text.strip()).hexdigest()
        found: KnownKey | None = None
        for key in self._keys:  # all of them, so that the time says nothing
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None or kind.lower() != b"bearer":
            raise Refusal(401, "there is no such key", "authorization")
        if scope not in found.scopes:
            raise Refusal(403, f"this key has no scope {scope!r}", "authorization")
        return found.name

    def _check_local(self, scope: str, host: bytes | None) -> str:
        """Without keys the service is this machine's alone, and no web page's."""
        if scope == ADMIN:
            raise Refusal(
                403, "make a key first: compagnon keys create --scope admin", "authorization"
            )
        name = (host or b"localhost").decode("latin-1").lower()
        name = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
        if name not in _LOCAL_NAMES:
            # A page on the web may point its own name at this machine (DNS rebinding).
            raise Refusal(403, "without keys, ask for localhost alone", "host")
        return ANYBODY

    def take(self, key: str, count: int) -> None:
        """Count decisions against a key's rate.

        Raises:
            Refusal: 429.
        """
        if not self._rate:
            return
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._clock)
        bucket.take(count)
