"""The store: decisions, outcomes, models, keys and slots in SQLite or PostgreSQL."""

from compagnon.store.database import Store
from compagnon.store.decisions import DecisionRow, Written
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.log import DecisionLog
from compagnon.store.opening import open_store

__all__ = [
    "DecisionLog",
    "DecisionRow",
    "LogFull",
    "Store",
    "StoreUnavailable",
    "Written",
    "open_store",
]
