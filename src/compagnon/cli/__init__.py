"""The command line: one verb a command, each a thin layer over the library."""

import os
from collections.abc import Sequence

from compagnon.errors import InputError
from compagnon.extras import EXTRA_OF


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after ``compagnon``; None for those of the process.

    Returns:
        0 when it worked, 2 when something given cannot be used (said in one message on stderr),
        130 when it was interrupted.

    Raises:
        SystemExit: 0 for ``--help``, 2 for words that are no command or option.
    """
    # Threads that wait should sleep: where the cores are shared, spinning ones cost tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from compagnon.cli.app import parse_and_run
    from compagnon.cli.output import complain

    try:
        return parse_and_run(argv)
    except InputError as error:
        complain(error)
        return 2
    except ModuleNotFoundError as error:  # of an extra that is not installed
        name = (error.name or "").partition(".")[0]
        if name not in EXTRA_OF:
            raise
        extra = EXTRA_OF[name]
        complain(f"this needs {name}: pip install 'compagnon[{extra}]'")
        return 2
    except OSError as error:  # a disk that is full, a folder that may not be written
        complain(error)
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
