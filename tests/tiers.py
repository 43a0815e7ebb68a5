"""Marks one case of a parametrised test as dear, beside its quick ones."""

from typing import Any

import pytest


def full(*values: Any, id: str | None = None) -> Any:
    """A case of `pytest.mark.parametrize` that is in the full tier."""
    return pytest.param(*values, id=id, marks=pytest.mark.full)
