"""What goes wrong with a store while it is in use, apart from what a person typed."""

ANYTHING = "the database cannot be used now"


class StoreUnavailable(Exception):  # noqa: N818 (a state, which passes)
    """The database cannot take or give anything now: full, locked, gone. Trying again may help.

    Nothing that was acknowledged before is lost by it. A service answers 503.

    Args:
        detail: for who runs the service: with path or address, never with a password.
        public: for who asks it, over the network: names no path, user, host or port.
    """

    def __init__(self, detail: str, public: str = ANYTHING) -> None:
        super().__init__(detail)
        self.public = public


class LogFull(StoreUnavailable):
    """More decisions wait to be written than the log may hold back."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, detail)
