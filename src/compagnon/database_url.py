"""How the address of a database may be shown to people: without its passwords."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlalchemy

# What a query may show; anything else in it may be a secret, or become one.
_HARMLESS: Final = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "options", "sslmode", "application_name",
     "connect_timeout", "target_session_attrs", "service"}
)  # fmt: skip


def secrets_of(url: "sqlalchemy.URL") -> list[str]:
    """What of an address nobody may see, the longest first."""
    found = {str(url.password)} if url.password else set()
    for name, values in url.normalized_query.items():
        if name not in _HARMLESS:
            found.update(value for value in values if value)
    return sorted(found, key=len, reverse=True)


def shown(url: "sqlalchemy.URL") -> str:
    """An address for people: no driver, and nothing that is secret."""
    query = {
        name: values if name in _HARMLESS else ("***",)
        for name, values in url.normalized_query.items()
    }
    plain = url.set(query=query, drivername=url.drivername.partition("+")[0])
    return plain.render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def without_secrets(url: "sqlalchemy.URL", text: str) -> str:
    """What a server said of an address, without what is secret in that."""
    for secret in secrets_of(url):
        text = text.replace(secret, "***")
    return text
