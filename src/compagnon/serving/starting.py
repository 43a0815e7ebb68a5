"""Refuses what cannot be served, before anything long is done for it."""

from compagnon.errors import InputError
from compagnon.serving.repository import open_service_store
from compagnon.serving.server import listen
from compagnon.serving.settings import ServiceSettings
from compagnon.store.keys import keyring


def check_place(settings: ServiceSettings) -> None:
    """Refuse an address or a database that cannot be used.

    Raises:
        InputError: the port is taken, there is no key, or another process logs to the same file.
        StoreUnavailable: the database is away.
    """
    listen(settings.host, settings.port).close()
    store = open_service_store(settings)
    try:
        require_keys(settings, len(keyring(store)), store.where)
        with store.only_log():
            pass
    finally:
        store.close()


def require_keys(settings: ServiceSettings, keys: int, where: str) -> None:
    """Refuse to let anybody but this machine ask without a key.

    Args:
        where: the database, without a password.

    Raises:
        InputError: names the command that makes a key.
    """
    if not keys and not settings.loopback:
        raise InputError(
            f"--host {settings.host} lets other machines ask, and there is no key: make one with "
            f"`compagnon keys create --scope decide --db {where}`, or serve 127.0.0.1"
        )
