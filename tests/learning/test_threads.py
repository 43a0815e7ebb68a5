"""How many threads a run takes, seen in a process that has not begun another one before."""

import subprocess
import sys


def test_torch_has_the_threads_that_the_recipe_says_from_the_first_run_on():
    """In a fresh process: numba sets OpenMP's count, which is torch's too, when it first wakes."""
    code = (
        "import tempfile, torch; from pathlib import Path;"
        "from tests.learning.small import recipe_of; from compagnon.learning.trainer import start;"
        "start(recipe_of('cartpole', budget={'iterations': 1}),"
        " Path(tempfile.mkdtemp()) / 'run').train(); print(torch.get_num_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split()[-1] == "1"
