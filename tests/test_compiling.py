"""A run that compiles kernels says so while it does; one that finds them compiled says nothing."""

import os
import subprocess
import sys
import time

import pytest

from compagnon import compiling
from compagnon.compiling import SAID

KERNEL = '''
"""A shop whose stock is counted by a kernel."""

import gymnasium
import numpy as np
from gymnasium import spaces
from numba import njit


@njit(cache=True)
def sold(stock):
    total = 0
    for k in range(stock):
        total += k
    return total


class Shop(gymnasium.Env):
    observation_space = spaces.Box(0, 10, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), float(sold(4)), True, False, {}


gymnasium.register("test/Compiled-v0", entry_point=Shop)
'''
EVALUATE = """
import sys
from compagnon import compiling
compiling.PATIENCE = 0.0
from compagnon.cli import main
sys.exit(main(["evaluate", "random", "--env", "shop:test/Compiled-v0", "--episodes", "1"]))
"""


@pytest.fixture
def shop(tmp_path):
    """Evaluates an environment with a kernel of its own, in a process of its own."""
    (tmp_path / "shop.py").write_text(KERNEL)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}

    def run():
        return subprocess.run(
            [sys.executable, "-c", EVALUATE],
            capture_output=True, text=True, timeout=600, check=True, env=environment,
        )  # fmt: skip

    return run


@pytest.mark.full
def test_compiling_is_said_once_and_not_where_the_kernels_are_there(shop):
    first = shop()
    assert first.stderr.count(f"compagnon: {SAID}\n") == 1
    assert "compiling" not in first.stdout
    assert "test/Compiled-v0: 1 episode" in first.stdout
    again = shop()  # in the cache of the first
    assert SAID not in again.stderr
    assert again.stdout == first.stdout


@pytest.fixture
def spent(monkeypatch):
    """What adds up the time of compiling, and what it told."""
    told: list[str] = []
    monkeypatch.setattr(compiling, "_listeners", [told.append])
    return compiling._Spent(), told


def timer_of(spent):
    assert spent._timer is not None
    return spent._timer


def test_what_takes_no_time_is_not_worth_a_word(spent, monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", 3600.0)
    made, told = spent
    made.start()
    made.start()  # a kernel that the first one calls
    timer = timer_of(made)
    made.end()
    assert timer_of(made) is timer  # the first goes on
    made.end()
    assert told == []
    timer.join(60)
    assert not timer.is_alive()  # nobody waits for it any more


def test_many_short_ones_add_up(spent, monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", 3600.0)
    made, told = spent
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for left in (3600.0, 2600.0, 1600.0, 600.0):
        made.start()
        assert timer_of(made).interval == left
        clock[0] += 1000.0
        made.end()
    made.start()
    timer = timer_of(made)
    assert timer.interval == 0.0  # an hour has gone: at once
    timer.join(60)
    made.end()
    made.start()
    assert told == [SAID]
    assert made._timer is None  # once is enough
