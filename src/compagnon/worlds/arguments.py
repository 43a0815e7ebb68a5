"""What follows the colon in an expert's name, checked."""

from compagnon.errors import InputError


def no_argument(name: str, argument: str | None) -> None:
    """Refuse an argument where none is known.

    Raises:
        InputError: there is one.
    """
    if argument is not None:
        raise InputError(f"{name} takes no argument, got {argument!r}")
