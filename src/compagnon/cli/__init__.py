"""The command line: one verb a command, each a thin layer over the library."""

import os
import sys
from collections.abc import Sequence

from compagnon.errors import InputError
from compagnon.extras import advice

_UNUSABLE = 2
_PIPE_CLOSED = 141  # as a shell counts a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after ``compagnon``; None for those of the process.

    Returns:
        0 when it worked, 2 when something given cannot be used (said in one message on stderr),
        130 when it was interrupted, 141 when whoever read the output went away.

    Raises:
        SystemExit: 0 for ``--help``, 2 for words that are no option.
    """
    # Threads that wait should sleep: where the cores are shared, spinning ones cost tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = sys.argv[1:] if argv is None else list(argv)
    code = 0
    try:
        try:
            code = _run(words)
        finally:
            sys.stdout.flush()  # here, where a reader who went away can still be dealt with
    except OSError as error:
        # What Python still holds back for stdout goes nowhere, rather than into another error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _PIPE_CLOSED
        if code != _UNUSABLE:  # else what is wrong has been said
            print(f"compagnon: stdout: {error.strerror or error}", file=sys.stderr)
        return _UNUSABLE
    return code


def _run(words: list[str]) -> int:
    from compagnon.cli.app import needs, parse_and_run
    from compagnon.output import complain

    try:
        return parse_and_run(words)
    except BrokenPipeError:
        raise
    except InputError as error:
        said = str(error)
    except ModuleNotFoundError as error:  # of an extra that is not installed
        found = advice(words, (error.name or "").partition(".")[0], needs())
        if found is None:
            raise
        said = found
    except OSError as error:  # a disk that is full, a folder that may not be written
        reason = error.strerror or str(error)
        said = reason if error.filename is None else f"{error.filename}: {reason}"
    except MemoryError as error:
        # numpy says what it was asked for; Python's own has nothing to say.
        said = f"there is not enough memory for this{f' ({error})' if str(error) else ''}; ask for "
        said += "less: fewer episodes, copies or steps, or a smaller capacity"
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    complain(said)
    return _UNUSABLE
