"""The evaluations that the reports are made of, as in the tests of the evaluation."""

from tests.evaluation.conftest import _one_thread, over_producer_divergence, published

__all__ = ["_one_thread", "over_producer_divergence", "published"]
