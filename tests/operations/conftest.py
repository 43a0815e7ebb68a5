"""The store of the tests of the store, for what is made from it."""

from tests.store.conftest import address, made, postgres, sqlite_store, store

__all__ = ["address", "made", "postgres", "sqlite_store", "store"]
