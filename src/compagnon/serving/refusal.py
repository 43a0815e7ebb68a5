"""What a caller is told when a request cannot be served: a status, a sentence, the field."""

from typing import Final

import msgspec

RETRY_SECONDS: Final = 1
WHOLE: Final = "body"  # the name of everything that was sent


class Refusal(Exception):  # noqa: N818 (it is an answer rather than an error)
    """A request that is answered with a problem rather than a decision.

    Attributes:
        status: of HTTP. field: what of the request is meant, dotted; None for the whole of it.
        retry_after: whole seconds after which the same request may succeed; None if it never will.
    """

    def __init__(
        self, status: int, error: str, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.field = field
        self.retry_after = retry_after

    def body(self) -> bytes:
        """The answer as JSON, a `Problem`."""
        return msgspec.json.encode(Problem(self.error, self.field))

    def under(self, prefix: str) -> "Refusal":
        """The same refusal of a part of a request that stands under `prefix`."""
        field = prefix if self.field in (None, WHOLE) else f"{prefix}.{self.field}"
        return Refusal(self.status, self.error, field, self.retry_after)


class Problem(msgspec.Struct, frozen=True):
    """What was wrong, where, and what would be right."""

    error: str
    field: str | None = None


def unprocessable(field: str | None, error: str) -> Refusal:
    """The request itself is wrong: 422, and the field that it is wrong in."""
    return Refusal(422, error, field)
