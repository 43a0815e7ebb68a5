"""Splits the slow tests into shares, so that a machine can run one share a day."""

import hashlib
import os

import pytest

pytest_plugins = ["tests.postgres"]
SHARE = "COMPAGNON_SLOW_SHARE"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``COMPAGNON_SLOW_SHARE=i/n``, keep the slow tests whose names hash to share i of n."""
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
        items[:] = [item for item in items if item not in left_out]


def share_of(nodeid: str, shares: int) -> int:
    """1 to `shares`; the same on every machine."""
    return int.from_bytes(hashlib.sha256(nodeid.encode()).digest()[:8], "big") % shares + 1
