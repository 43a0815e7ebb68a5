"""Who may ask, from where, and how often: keys by scope, and what a request's head says of it."""

import math
import re
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from compagnon.serving.errors import ApiError
from compagnon.store.keys import Keyring, Scope

DECIDE: Final[Scope] = "decide"
OUTCOMES: Final[Scope] = "outcomes"
ADMIN: Final[Scope] = "admin"
SCOPES: Final = (DECIDE, OUTCOMES, ADMIN)
ANYBODY: Final = ""
_LOCAL: Final = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_JSON: Final = b"application/json"
_OWN_SITES: Final = (None, b"same-origin", b"none")


class Head(NamedTuple):
    """The headers that decide about a request; None for one that is not there.

    Attributes:
        site: Sec-Fetch-Site, which browsers alone send.
    """

    authorization: bytes | None = None
    host: bytes | None = None
    origin: bytes | None = None
    site: bytes | None = None
    content_type: bytes | None = None

    def require_json(self) -> None:
        """Refuse a body that does not say that it is JSON.

        A web page may send other kinds to any address without asking first.

        Raises:
            ApiError: 415.
        """
        kind = self.content_type
        if kind == _JSON:
            return
        if kind is None or kind.partition(b";")[0].strip().lower() != _JSON:
            raise ApiError(415, "send JSON, with Content-Type: application/json", "content-type")


_NAMES: Final = {
    b"authorization": "authorization",
    b"host": "host",
    b"origin": "origin",
    b"sec-fetch-site": "site",
    b"content-type": "content_type",
}


def read_head(headers: Iterable[tuple[bytes, bytes]], version: str = "1.1") -> Head:
    """What the headers say; names in lower case.

    Raises:
        ApiError: 400 for one that stands there twice, since a proxy may have looked at the other,
            and for a request of HTTP/1.1 without a host.
    """
    found: dict[str, bytes] = {}
    for name, value in headers:
        known = _NAMES.get(name)
        if known is not None:
            if known in found:
                raise ApiError(400, "it stands there twice", name.decode())
            found[known] = value
    if "host" not in found and version == "1.1":
        raise ApiError(400, "a request of HTTP/1.1 names its host", "host")
    return Head(**found)


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
            ApiError: 429 with the seconds after which there are enough; 413 for more than ever.
        """
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._then) * self.rate)
        self._then = now
        if count > self._size:
            raise ApiError(
                413, f"{count:,} decisions at once are more than the limit of {self._size:,.0f}"
            )
        if count > self._tokens:
            seconds = math.ceil((count - self._tokens) / self.rate)
            raise ApiError(
                429, f"this key may ask for {self.rate:,g} decisions a second", None, seconds
            )
        self._tokens -= count


class Authenticator:
    """Checks keys and rates.

    Args:
        rate: decisions a second for each key, 0 for no limit.
        keys: those that are valid now.
        local: nobody but this machine can reach the service.
    """

    def __init__(
        self,
        rate: float,
        keys: Keyring,
        local: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._keys = keys
        self._open = local and not keys.ever
        self._buckets: dict[str, Bucket] = {}

    @property
    def open(self) -> bool:
        """No key ever existed, so that anybody on this machine may use the service."""
        return self._open

    def learn(self, keys: Keyring) -> None:
        """Take over the keys that are valid now."""
        self._keys = keys
        # That all were revoked does not open the service to everybody, nor does a restart then.
        self._open = self._open and not keys.ever

    def check_place(self, head: Head) -> None:
        """Without keys the service is this machine's alone, and no web page's.

        A page on the web may point its own name at this machine (DNS rebinding), and may send to
        any address what it can't read the answer of; its browser then says whose page it is.

        Raises:
            ApiError: 403.
        """
        if not self._open:
            return
        host = head.host
        if host is not None and not _LOCAL.fullmatch(host):
            raise ApiError(403, "without keys, ask for localhost alone", "host")
        if head.site not in _OWN_SITES:
            raise ApiError(403, "without keys, no other web page may ask", "sec-fetch-site")
        if head.origin is not None and head.origin.lower() != b"http://" + (host or b"").lower():
            raise ApiError(403, "without keys, no other web page may ask", "origin")

    def check(self, authorization: bytes | None, scope: Scope) -> str:
        """The id of the key that a request carries.

        Raises:
            ApiError: 401 for no key or an unknown one, 403 for one without the scope.
        """
        if self._open:
            if scope == ADMIN:
                raise ApiError(
                    403, "make a key first: compagnon keys create --scope admin", "authorization"
                )
            return ANYBODY
        kind, _, text = (authorization or b"").partition(b" ")
        presented = text.strip().decode("latin-1")
        if kind.lower() != b"bearer" or not presented:
            raise ApiError(401, "give a key: Authorization: Bearer KEY", "authorization")
        key = self._keys.check(presented, scope)
        if key is not None:
            return key.id
        if any(self._keys.check(presented, other) for other in SCOPES):
            raise ApiError(403, f"this key is not for {scope!r}", "authorization")
        raise ApiError(401, "there is no such key, or it was revoked", "authorization")

    def take(self, key: str, count: int) -> None:
        """Count decisions against a key's rate.

        Raises:
            ApiError: 429.
        """
        if not self._rate:
            return
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._clock)
        bucket.take(count)
