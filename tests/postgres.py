"""A PostgreSQL schema of its own for a test that needs one."""

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest

ADDRESS = os.environ.get("COMPAGNON_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of a schema, gone afterwards; without a server a skip, or in CI a fault."""
    import psycopg

    schema = f"test_{uuid.uuid4().hex[:12]}"
    try:
        with psycopg.connect(ADDRESS, connect_timeout=3, autocommit=True) as connection:
            connection.execute(f"create schema {schema}")
    except psycopg.OperationalError as error:
        message = f"no PostgreSQL at COMPAGNON_TEST_POSTGRES ({error})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    mark = "&" if "?" in ADDRESS else "?"
    yield f"{ADDRESS}{mark}options=-csearch_path%3D{schema}"
    with psycopg.connect(ADDRESS, autocommit=True) as connection:
        for _ in range(5):  # a service that is just ending may still read, in another order
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                connection.execute(f"drop schema if exists {schema} cascade")
                break
