"""How many threads a run takes, seen in a process that has not begun another one before."""

import subprocess
import sys

CODE = """
import tempfile
from pathlib import Path

import numba
import torch
from threadpoolctl import threadpool_info

from compagnon.rl.trainer import start
from tests.rl.small import recipe_of


def counts():
    blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return torch.get_num_threads(), numba.get_num_threads(), *sorted(blas)


numba.set_num_threads(1)
torch.set_num_threads(3)
before = counts()
trainer = start(recipe_of("cartpole", budget={"iterations": 1}), Path(tempfile.mkdtemp()) / "run")
assert counts() == before, "building a trainer is no reason to change the process"
within = []
trainer.train(lambda _: within.append(counts()))
assert counts() == before, (before, counts())
print(within[0][0])
"""


def test_a_run_has_the_threads_that_its_recipe_says_and_gives_them_back():
    """In a fresh process: numba sets OpenMP's count, which is torch's too, when it first wakes."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "1"
