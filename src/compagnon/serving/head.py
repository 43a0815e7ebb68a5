"""What the head of a request says of who asks, from where and with what; each of it once."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from compagnon.serving.errors import ApiError

_JSON: Final = b"application/json"


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
