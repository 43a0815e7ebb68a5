"""Sorts the tests into tiers, and the slow ones into shares that a machine runs one a day."""

import hashlib
import os

import pytest

pytest_plugins = ["tests.postgres"]
SHARE = "COMPAGNON_SLOW_SHARE"
SLOW_TIMEOUT = 1800  # seconds; whole trainings, where pyproject.toml bounds every other test
COLLECTED = pytest.StashKey[dict[str, frozenset[str]]]()
"""The marks of every test that was collected, before any was left out: by its id."""


@pytest.hookimpl(tryfirst=True)  # before pytest's own `-m` leaves tests out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note the marks; with ``COMPAGNON_SLOW_SHARE=i/n`` keep of the slow tests share i of n."""
    config.stash[COLLECTED] = {
        item.nodeid: frozenset(mark.name for mark in item.iter_markers()) for item in items
    }
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))
    wanted = os.environ.get(SHARE)
    if not wanted:
        return
    share, _, shares = wanted.partition("/")
    if not (share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares)):
        raise pytest.UsageError(f"{SHARE}={wanted!r}: give i/n with 1 <= i <= n, such as 2/7")
    left_out = [
        item
        for item in items
        if item.get_closest_marker("slow") and share_of(item.nodeid, int(shares)) != int(share)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def share_of(nodeid: str, shares: int) -> int:
    """1 to `shares`; the same on every machine."""
    return int.from_bytes(hashlib.sha256(nodeid.encode()).digest()[:8], "big") % shares + 1
