"""How a request leaves its connection, and when more is read: uvicorn's, with a say of our own."""

from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl


class Leaving(Protocol):
    """A connection that can be left so that its client can read the last answer."""

    transport: Any

    @property
    def is_leaving(self) -> bool:
        """Whether all is said."""
        ...

    def leave(self) -> None:
        """Close, once the client can have read the answer."""
        ...


class Door:
    """How a request leaves its connection: uvicorn's cycles write to it and close it."""

    __slots__ = ("_protocol", "write")

    def __init__(self, protocol: Leaving) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write

    def close(self) -> None:
        """Close, once the client can have read the answer."""
        self._protocol.leave()

    def is_closing(self) -> bool:
        """Whether there is nobody to write to."""
        return self._protocol.is_leaving or self._protocol.transport.is_closing()


class Flow(FlowControl):
    """uvicorn's, which resumes reading now and then; not while we hold something back."""

    held = False

    def hold(self) -> None:
        """Read no more until `release`."""
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        """Read again."""
        self.held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read again, unless something is held back."""
        if not self.held:
            super().resume_reading()
