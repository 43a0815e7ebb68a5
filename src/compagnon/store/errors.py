"""What goes wrong with a store while it is in use, apart from what a person typed."""


class StoreUnavailable(Exception):  # noqa: N818 (a state, which passes)
    """The database cannot take or give anything now: full, locked, gone. Trying again may help.

    Nothing that was acknowledged before is lost by it. A service answers 503.
    """


class LogFull(StoreUnavailable):
    """More decisions wait to be written than the log may hold back."""
