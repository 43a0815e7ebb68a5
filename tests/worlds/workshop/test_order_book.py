"""An order book is read as it was meant, and what cannot be meant is said row by row."""

from contextlib import suppress
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.order_book import BadRow, check_order_book, read_order_book
from compagnon.worlds.workshop.order_book_samples import (
    OrderLine,
    generate_order_book,
    order_book_text,
    sample_order_book,
)

HEADER = "time,product,quantity\n"


@pytest.fixture
def book(tmp_path):
    """Write a file, text or bytes, and give its path."""

    def write(content):
        path = tmp_path / "book.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def units(path):
    """The demand that is not zero, as {(week, tick, product): units}."""
    demand = read_order_book(path).weekly_demand()
    assert demand.dtype == np.int32
    assert demand.shape[1:] == (672, 2)
    return {
        tuple(int(i) for i in place): int(demand[tuple(place)]) for place in np.argwhere(demand)
    }


class TestReading:
    def test_minutes(self, book):
        path = book(HEADER + "0,P1,3\n14,P1,1\n15,P2,2\n10079,P2,4\n10080,P1,5\n7.9,P1,1\n")
        assert units(path) == {
            (0, 0, 0): 5, (0, 1, 1): 2, (0, 671, 1): 4, (1, 0, 0): 5,
        }  # fmt: skip

    def test_dates_begin_on_the_monday_of_the_earliest_order(self, book):
        path = book(HEADER + "2026-03-09,P1,2\n2026-03-04T08:15,P2,1\n2026-03-08 23:59:59,P1,7\n")
        tuesday_and_a_half = 2 * 96 + 33
        assert units(path) == {(0, tuesday_and_a_half, 1): 1, (0, 671, 0): 7, (1, 0, 0): 2}
        assert check_order_book(path).first_day == "2026-03-02"

    @pytest.mark.parametrize(
        "content",
        [
            "time;product;quantity\n15;P1;3\n15;P2;2\n",
            "\ufefftime,product,quantity\r\n15,P1,3\r\n15,P2,2\r\n",
            " Time ; PRODUCT ;Quantity;note\n 15,0 ; p1 ; 3,0 ;\n;;;\n15,5; P2;2;bient\u00f4t\n",
            "quantity\tproduct\ttime\n3\tp1\t15\n\n2\tp 2\t16\n",
            'time,product,quantity\n"15","P1","3"\n"15","P2","+2"',
            "time;product;quantity;client\n15;P1;3;Ren\u00e9\n15;P2;2;\n".encode("cp1252"),
            "time\tproduct\tquantity\n15\tP1\t3\n15\tP2\t2\n".encode("utf-16"),
            "Temps;Produit;Quantité\n15;P1;3\n15;P2;2\n".encode("cp1252"),
            "sep=;\r\nDate;Heure;Réf;Qté\r\n02/03/2026;00h20;P1;3\r\n2/3/26;0:15;p2;2,0\r\n",
            "Date et heure;Article;Quantité\n02/03/2026 00:15;P1;3\n2026-03-02 0h16;P2;2\n",
            "date,product,quantity\n02.03.2026 00:15,P1,3\n2026-03-02T00:15,P2,2\n",
        ],
    )
    def test_what_spreadsheets_write(self, book, content):
        assert units(book(content)) == {(0, 1, 0): 3, (0, 1, 1): 2}

    @given(
        orders=st.lists(
            st.tuples(st.integers(0, 30_000), st.sampled_from([0, 1]), st.integers(1, 10_000)),
            min_size=1, max_size=9,
        ),
        dated=st.booleans(),
    )  # fmt: skip
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def test_what_is_written_is_read(self, tmp_path, orders, dated):
        orders = [(0, 0, 1), *orders]
        monday = datetime(2026, 3, 2)
        path = tmp_path / "book.csv"
        lines = [
            OrderLine(monday + timedelta(minutes=m) if dated else m, ("P1", "P2")[p], q)
            for m, p, q in orders
        ]
        path.write_text(order_book_text(lines))
        expected = np.zeros((max(m for m, *_ in orders) // 10_080 + 1, 672, 2), np.int32)
        for minute, product, quantity in orders:
            expected[minute // 10_080, minute % 10_080 // 15, product] += quantity
        np.testing.assert_array_equal(read_order_book(path).weekly_demand(), expected)

    def test_the_day_comes_first_unless_the_file_says_otherwise(self, book):
        french = "Date;Produit;Quantité\n02/03/2026;P1;1\n03/03/2026;P1;1\n"
        assert units(book(french)) == {(0, 0, 0): 1, (0, 96, 0): 1}
        american = "date,product,quantity\n3/2/2026 9:00 AM,P1,1\n3/13/2026 12:30 PM,P1,1\n"
        assert units(book(american)) == {(0, 36, 0): 1, (1, 434, 0): 1}


class TestBadRows:
    @pytest.mark.parametrize(
        ("row", "field", "expected"),
        [
            ("-4,P1,1", "time", "from 0 to"),
            ("99999999,P1,1", "time", "from 0 to 5241599"),
            ("9" * 400 + ",P1,1", "time", "from 0 to 5241599"),
            ("soon,P1,1", "time", "2026-03-02 08:15"),
            (",P1,1", "time", "2026-03-02 08:15"),
            ("31/02/2026 08:15,P1,1", "time", "2026-03-02 08:15"),
            ("2026-02-30,P1,1", "time", "2026-03-02 08:15"),
            ("2026-03-02T08:15Z,P1,1", "time", "without a time zone"),
            ("2026-03-02,P1,1", "time", "minutes, as in the rows above"),
            ("5,P3,1", "product", "P1 or P2"),
            ("5,,1", "product", "P1 or P2"),
            ("5,P1,0", "quantity", "whole number"),
            ("5,P1,-2", "quantity", "whole number"),
            ("5,P1,2.5", "quantity", "whole number"),
            ("5,P1,many", "quantity", "whole number"),
            ("5,P1,1e3", "quantity", "whole number"),
            ("5,P1,10001", "quantity", "from 1 to 10000"),
            ("5,P1,²", "quantity", "whole number"),
            ("5,P1", "quantity", "whole number"),
            ("5,P1,2,5", "row", "3 cells"),
        ],
    )
    def test_each_is_reported(self, book, row, field, expected):
        path = book(HEADER + "0,P1,1\n" + row + "\n30,P2,1\n")
        report = check_order_book(path)
        (bad,) = report.bad_rows
        assert (bad.row, bad.field) == (3, field)
        assert expected in bad.expected
        assert bad.given in row
        assert (report.orders, report.units) == (2, {"P1": 1, "P2": 1})
        with pytest.raises(InputError, match="row 3"):
            read_order_book(path)

    def test_every_field_of_a_row_is_reported(self, book):
        report = check_order_book(book(HEADER + "x,y,z\n"))
        assert [bad.field for bad in report.bad_rows] == ["time", "product", "quantity"]
        assert report.bad_rows[1] == BadRow(2, "product", "y", "P1 or P2")
        assert (report.weeks, report.orders) == (0, 0)

    def test_the_message_stops_after_ten(self, book):
        path = book(HEADER + "0,P1,1\n" + "1,P9,1\n" * 25)
        with pytest.raises(InputError) as caught:
            read_order_book(path)
        assert str(caught.value).count("\n  row ") == 10
        assert str(caught.value).endswith("and 15 more")

    def test_a_mistake_within_a_book_of_dates(self, book):
        report = check_order_book(book(HEADER + "2026-03-02,P1,1\n15,P1,1\n"))
        assert "a date" in report.bad_rows[0].expected

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("", "is empty"),
            (" \n\n", "is empty"),
            (HEADER, "no orders"),
            ("time,item,quantity\n1,P1,1\n", "no column product"),
            ("1,P1,1\n", "no column time nor product nor quantity"),
            ("time,time,product,quantity\n1,1,P1,1\n", "twice"),
            (b"\x89PNG\0\0\x0d\x0a", "not a text file"),
            (b"PK\x03\x04rest", "spreadsheet"),
            (HEADER + "2016-03-02,P1,1\n2206-03-02,P1,1\n", "spans .* 520 weeks"),
            (HEADER + "1,P1,10000\n" * 11, "110000 P1 .* in week 1"),
            (HEADER + "1,P1,1\n" + "x" * 200_000 + ",P1,1\n", "line 3"),
        ],
    )
    def test_a_file_that_is_no_order_book(self, book, content, sentence):
        with pytest.raises(InputError, match=sentence):
            check_order_book(book(content))

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_order_book(tmp_path / "none.csv")
        with pytest.raises(InputError, match="cannot be read"):
            read_order_book(tmp_path)

    @pytest.mark.full
    @given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    def test_no_content_brings_it_down(self, tmp_path, content):
        path = tmp_path / "book.csv"
        for head in (b"", HEADER.encode() + b"0,P1,1\n"):
            path.write_bytes(head + content)
            with suppress(InputError):  # any other exception fails the test
                assert check_order_book(path).weeks >= 0


class TestSamples:
    def test_a_drawn_book_is_the_demand_that_the_shop_draws(self, tmp_path):
        path = tmp_path / "book.csv"
        path.write_text(order_book_text(generate_order_book(2, seed=6, demand="tight")))
        fields = {"observation": ("backlog_p1", "backlog_p2")}
        drawn = WorkshopEnv(demand="tight", **fields)
        read = WorkshopEnv(demand=str(path), **fields)
        for week in range(2):
            for env in (drawn, read):
                env.reset(seed=6 if week == 0 else None)  # 6 % 2 is the first week
            backlogs = [[env.step(200)[0].tolist() for _ in range(10_080)] for env in (drawn, read)]
            assert backlogs[0] == backlogs[1]
            assert backlogs[0][-1][1] > 500

    def test_lines_are_in_order_and_spread(self):
        lines = generate_order_book(1, seed=1, start=date(2026, 3, 2))
        times = [line.time for line in lines]
        assert times == sorted(times)
        assert {time.minute % 15 for time in times} == set(range(15))
        assert {line.product for line in lines} == {"P1", "P2"}
        assert lines == generate_order_book(1, seed=1, start=date(2026, 3, 2))
        assert lines != generate_order_book(1, seed=2, start=date(2026, 3, 2))

    def test_growth(self):
        lines = generate_order_book(3, seed=1, demand=2, growth=1.0)
        weeks = np.zeros(3)
        for line in lines:
            weeks[line.time // 10_080] += line.quantity
        assert weeks[1] / weeks[0] == pytest.approx(2, rel=0.15)
        assert weeks[2] / weeks[0] == pytest.approx(4, rel=0.15)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"weeks": 0}, {"weeks": 521}, {"seed": -1}, {"demand": "quiet"}, {"demand": -1.0},
            {"demand": float("nan")}, {"demand": 61.0}, {"growth": -1.5},
            {"start": date(2026, 3, 3)},
        ],
    )  # fmt: skip
    def test_bad_arguments_are_named(self, arguments):
        with pytest.raises(InputError, match=next(iter(arguments))):
            generate_order_book(**{"weeks": 1, "seed": 0, **arguments})

    def test_the_sample_that_ships(self):
        report = check_order_book(sample_order_book())
        assert (report.weeks, report.first_day, report.bad_rows) == (4, "2026-03-02", ())
        weekly = report.book.weekly_demand().sum(axis=(1, 2))
        assert (np.diff(weekly) > 0).all()
        assert weekly.mean() == pytest.approx(2 * 605, rel=0.05)  # that of `tight`
        again = generate_order_book(4, 2026, 1.8, start=date(2026, 3, 2), growth=0.06)
        assert order_book_text(again).encode() == sample_order_book().read_bytes()
