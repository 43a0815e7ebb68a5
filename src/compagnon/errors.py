"""The one error a person sees: what was wrong, where, and what would be right."""

import traceback


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is a whole sentence for a person: it names the file, field or row, and says what
    would be right. The command line prints it and exits with code 2.
    """


class FaultyEnvError(InputError):
    """An environment, rather than a policy or a person, did what it must not.

    Args:
        env: its id.
        what: what was wrong, and what would be right.
        copy: which of several copies it was.
        where: the seed and the step of that copy, where they are known.
    """

    def __init__(self, env: str, what: str, copy: int | None = None, where: str = "") -> None:
        self.env, self.what, self.copy, self.where = env, what, copy, where
        place = "" if copy is None else f", copy {copy}"
        super().__init__(f"{env}{place}{where}: {what}")

    def __reduce__(self) -> tuple[type["FaultyEnvError"], tuple[object, ...]]:
        """So that it reaches the parent of a process as it is."""
        return FaultyEnvError, (self.env, self.what, self.copy, self.where)


def describe(error: BaseException) -> str:
    """An exception of somebody else's code in one line, with the place that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}, line {error.lineno})"
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"
