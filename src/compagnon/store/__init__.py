"""The store: decisions, outcomes, models, keys and slots in SQLite or PostgreSQL."""

from compagnon.store.database import Store
from compagnon.store.decisions import DecisionRow, Written
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog

__all__ = [
    "DecisionLog",
    "DecisionRow",
    "LogFull",
    "Store",
    "StoreUnavailable",
    "Written",
    "open_store",
]
