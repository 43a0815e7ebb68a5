"""Reads bookings and shifts from a PostgreSQL or SQLite database into the importer's CSV files.

The tables are called ``bookings`` and ``drivers`` and have the columns of the CSV files. Only those
columns are ever asked for by name: names and telephone numbers do not leave the database.
"""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from compagnon.database_url import shown, without_secrets
from compagnon.errors import InputError
from compagnon.files import new_directory, write_file
from compagnon.worlds.dispatch.importing import records
from compagnon.worlds.dispatch.importing.clock import find_zone

MAX_DAYS: Final = 3660
_TABLES: Final = {
    "bookings": (records.BOOKING_COLUMNS, (*records.BOOKING_NEEDS, "date")),
    "drivers": (records.DRIVER_COLUMNS, (*records.DRIVER_NEEDS, "date")),
}
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Collected(NamedTuple):
    """How many rows were written."""

    bookings: int
    drivers: int


def collect_tables(url: str, first: date, last: date, folder: Path, zone: str = "") -> Collected:
    """Write ``bookings.csv`` and ``drivers.csv`` of the days from `first` to `last`.

    Args:
        url: ``postgresql://USER@HOST/DATABASE`` or ``sqlite:///FILE``.
        zone: the time zone that times are written in; empty for as the database gives them.

    Raises:
        InputError: the address, a table or a column is wrong, or there are no rows.
    """
    try:
        import sqlalchemy
    except ImportError:
        raise InputError(
            "data collect needs SQLAlchemy: pip install 'compagnon[collect]'"
        ) from None
    clock = find_zone(zone)
    if not 0 <= (last - first).days < MAX_DAYS:
        raise InputError(f"{first} to {last}: give 1 to {MAX_DAYS} days")
    address = _address(url)
    counts: dict[str, int] = {}
    texts: dict[str, str] = {}
    try:
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            for table, (columns, needed) in _TABLES.items():
                found = _read(connection, table, columns, needed, first, last)
                counts[table] = len(found)
                names = [one for one in columns if not found or one in found[0]]
                texts[table] = _csv(names, found, clock)
    except ImportError:
        raise InputError("data collect needs psycopg: pip install 'compagnon[collect]'") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        said = without_secrets(address, reason)
        raise InputError(f"--from {shown(address)}: the database refused ({said})") from None
    if not counts["bookings"]:
        raise InputError(f"the table bookings has no row from {first} to {last}")
    with new_directory(folder) as fresh:
        for table, text in texts.items():
            write_file(fresh / f"{table}.csv", text)
    return Collected(counts["bookings"], counts["drivers"])


def _address(url: str) -> Any:
    import sqlalchemy

    try:
        address = sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise InputError("--from: give postgresql://USER@HOST/DATABASE or sqlite:///FILE") from None
    driver = _DRIVERS.get(address.drivername)
    if driver is None:
        raise InputError(f"--from {address.drivername}://...: use postgresql:// or sqlite:///FILE")
    if driver == "sqlite" and not Path(address.database or "").is_file():
        # SQLite would make an empty database of that name.
        raise InputError(f"--from sqlite:///{address.database or ''}: there is no such file")
    return address.set(drivername=driver)


def _read(
    connection: Any, table: str, columns: Sequence[str], needed: Sequence[str], first: date,
    last: date,
) -> list[dict[str, Any]]:  # fmt: skip
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    if not inspector.has_table(table):
        raise InputError(f"the database has no table {table}; it needs {', '.join(_TABLES)}")
    there = {column["name"] for column in inspector.get_columns(table)}
    missing = [name for name in needed if name not in there]
    if missing:
        raise InputError(
            f"the table {table} has no column {', '.join(missing)}; it needs {', '.join(needed)}"
        )
    asked: list[Any] = [sqlalchemy.column(name) for name in columns if name in there]
    day: Any = sqlalchemy.column("date")
    sqlite = connection.dialect.name == "sqlite"  # it keeps days as text, which sorts the same
    bounds = (first.isoformat(), last.isoformat()) if sqlite else (first, last)
    query = (
        sqlalchemy.select(*asked)
        .select_from(sqlalchemy.table(table))
        .where(day >= bounds[0], day <= bounds[1])
        .order_by(day, sqlalchemy.column("id"))
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _csv(columns: Sequence[str], rows: list[dict[str, Any]], zone: ZoneInfo | None) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name), zone) for name in columns])
    return text.getvalue()


def _cell(value: Any, zone: ZoneInfo | None) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        if zone is not None and value.tzinfo is not None:
            value = value.astimezone(zone)
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return float(value) if isinstance(value, Decimal) else value.total_seconds() / 60.0
    return value
