"""What a caller is told when a request cannot be served: a status, a sentence, the field."""

from typing import Final

import msgspec

RETRY_SECONDS: Final = 1
WHOLE: Final = "body"  # the name of everything that was sent
# A name that a client made up is told back to it, but not a million letters of it.
NAME_LETTERS: Final = 100
_FIELD_LETTERS: Final = 200
_ERROR_LETTERS: Final = 1_000


class ApiError(Exception):
    """A request that is answered with a problem rather than a decision.

    Attributes:
        status: of HTTP. field: what of the request is meant, dotted; None for the whole of it.
        retry_after: whole seconds after which the same request may succeed; None if it never will.
    """

    def __init__(
        self, status: int, error: str, field: str | None = None, retry_after: int | None = None
    ) -> None:
        error = clipped(error, _ERROR_LETTERS)
        super().__init__(error)
        self.status = status
        self.error = error
        self.field = None if field is None else clipped(field, _FIELD_LETTERS)
        self.retry_after = retry_after

    def body(self) -> bytes:
        """The answer as JSON, a `ErrorResponse`."""
        return msgspec.json.encode(ErrorResponse(self.error, self.field))

    def under(self, prefix: str) -> "ApiError":
        """The same refusal of a part of a request that stands under `prefix`."""
        field = prefix if self.field in (None, WHOLE) else f"{prefix}.{self.field}"
        return ApiError(self.status, self.error, field, self.retry_after)


class ErrorResponse(msgspec.Struct, frozen=True):
    """What was wrong, where, and what would be right."""

    error: str
    field: str | None = None


def unprocessable(field: str | None, error: str) -> ApiError:
    """The request itself is wrong: 422, and the field that it is wrong in."""
    return ApiError(422, error, field)


def clipped(text: str, letters: int) -> str:
    """The beginning of a text, as what JSON can hold: half a surrogate pair is no letter."""
    if len(text) > letters:
        text = text[: letters - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
