"""Evaluations that several tests look at, played once."""

from collections.abc import Iterator

import numba
import pytest

from compagnon.evaluation.divergence import Divergence, divergence
from compagnon.evaluation.evaluate import Evaluation, evaluate
from compagnon.worlds.workshop import WORKSHOP
from tests.evaluation.names import BASE_STOCK, OVER_PRODUCER, V2, WAIT


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Waking threads thousands of times is slow where other tests use the other cores."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.fixture(scope="package")
def published() -> Evaluation:
    """The rules on 100 published weeks."""
    return evaluate([V2, BASE_STOCK, OVER_PRODUCER, WAIT], WORKSHOP, {}, episodes=100)


@pytest.fixture(scope="package")
def over_producer_divergence() -> Divergence:
    return divergence(
        OVER_PRODUCER, V2, WORKSHOP, {}, episodes=3, samples=60, horizon=1_440, seed=7
    )
