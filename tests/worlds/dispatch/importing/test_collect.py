"""A database gives the same files, and its personal columns stay where they are."""

import csv
from datetime import date, datetime

import pytest
import sqlalchemy as sa

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.collect import collect_tables
from compagnon.worlds.dispatch.importing.tables import Reading, import_tables
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS, read

DAY = date(2026, 3, 2)
TIMES = ("pickup_from", "pickup_to", "dropoff_to", "booked_at", "shift_start", "shift_end",
         "break_from", "break_to")  # fmt: skip


def fill(url, zoned):
    """The tables of the documented layout with the rows of the good files, and of other days."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    meta = sa.MetaData()
    when = sa.DateTime(timezone=True) if zoned else sa.String()
    for name, text in (("bookings", BOOKINGS), ("drivers", DRIVERS)):
        rows = list(csv.DictReader(text.splitlines()))
        columns = [
            sa.Column(one, when if one in TIMES else sa.Numeric() if "_l" in one else sa.String())
            for one in rows[0]
        ]
        table = sa.Table(name, meta, sa.Column("date", sa.Date()), *columns)
        meta.create_all(engine)
        with engine.begin() as connection:
            for row in rows:
                values = {k: v or None for k, v in row.items()}
                for one in set(TIMES) & set(values) if zoned else ():
                    values[one] = values[one] and datetime.fromisoformat(values[one])
                for day in (DAY, date(2026, 1, 1)):
                    connection.execute(table.insert().values(date=day, **values))
    engine.dispose()


def check_collected(url, tmp_path):
    found = collect_tables(url, date(2026, 2, 1), DAY, tmp_path / "out", "Europe/Zurich")
    assert found == (3, 1)
    names = tmp_path / "out" / "bookings.csv", tmp_path / "out" / "drivers.csv"
    report = import_tables(*names, reading=Reading(zone="Europe/Zurich", strict=True))
    assert report.days[0].to_json() == read(tmp_path).days[0].to_json()
    for name in names:
        for secret in ("Ada", "name", "phone", "022 123"):
            assert secret not in name.read_text()


def test_sqlite_gives_the_same_day(tmp_path):
    url = f"sqlite:///{tmp_path}/trips.db"
    fill(url, zoned=False)
    check_collected(url, tmp_path)


def test_postgresql_gives_the_same_day(tmp_path, postgres):
    fill(postgres.replace("postgresql://", "postgresql+psycopg://"), zoned=True)
    check_collected(postgres, tmp_path)


def test_what_cannot_be_collected_is_refused(tmp_path):
    def collect(url, first=DAY, last=DAY):
        collect_tables(url, first, last, tmp_path / "out")

    url = f"sqlite:///{tmp_path}/trips.db"
    with pytest.raises(InputError, match="there is no such file"):
        collect(url)
    with pytest.raises(InputError, match="use postgresql:// or sqlite"):
        collect("mysql://host/trips")
    with pytest.raises(InputError, match="give postgresql://USER@HOST"):
        collect("trips")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("create table other (id text)"))
    with pytest.raises(InputError, match="no table bookings"):
        collect(url)
    with engine.begin() as connection:
        connection.execute(sa.text("create table bookings (id text)"))
    with pytest.raises(InputError, match="the table bookings has no column pickup_lat"):
        collect(url)
    with engine.begin() as connection:
        connection.execute(sa.text("drop table bookings"))
    fill(url, zoned=False)
    with pytest.raises(InputError, match="no row from 2020-01-01"):
        collect(url, date(2020, 1, 1), date(2020, 1, 2))
    with pytest.raises(InputError, match="give 1 to 3660 days"):
        collect(url, DAY, date(2020, 1, 2))


@pytest.mark.parametrize(
    "address",
    ["postgresql://me:hidden@127.0.0.1:1/none", "postgresql://me@127.0.0.1:1/a?password=hidden"],
)
def test_a_password_is_not_shown(tmp_path, address):
    with pytest.raises(InputError, match="database refused") as caught:
        collect_tables(address, DAY, DAY, tmp_path)
    assert "hidden" not in str(caught.value)
