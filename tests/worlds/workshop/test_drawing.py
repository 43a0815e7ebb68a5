"""The shop in SVG: well-formed, bars as long as the stocks, and all of it in words too."""

from xml.etree import ElementTree

import pytest

from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.codec import ShopCodec
from compagnon.worlds.workshop.drawing import shop_svg
from compagnon.worlds.workshop.state import ShopState
from tests.policy.networks import schema_of

NS = {"s": "http://www.w3.org/2000/svg"}
BASE = {"time": 1440 + 8 * 60 + 5, "raw": 25, "p1": 0, "p2_inter": 50, "p2": 3}


def drawn(**changes: object) -> ElementTree.Element:
    return ElementTree.fromstring(shop_svg(ShopState(**{**BASE, **changes})))


def texts(root: ElementTree.Element) -> list[str]:
    return [str(one.text) for one in root.findall("s:text", NS)]


def test_a_bar_is_as_long_as_its_stock() -> None:
    widths = [float(one.get("width", "")) for one in drawn().findall("s:rect", NS)]
    full, bars = widths[0], widths[1::2]
    assert bars == pytest.approx([full * share for share in (0.5, 0.0, 1.0, 0.06)])


def test_the_clock_and_the_counts_are_written() -> None:
    said = texts(drawn())
    assert said[0] == "Tue 08:05"
    assert [line for line in said if line.endswith("of 50")] == [
        "25 of 50", "0 of 50", "50 of 50", "3 of 50",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "free"),
        ({"m1_task": "p1", "m1_minutes_left": 4, "m1_setup_left": 3}, "makes P1, 7 min left"),
        ({"m1_down": True}, "broken down"),
        ({"m2_minutes_left": 9}, "makes P2, step 2, 9 min left"),
        ({"raw_in_transit": 10, "next_delivery": 7}, "10 raw, the next in 7 min"),
        ({"backlog_p1": 5}, "5 P1, 0 P2"),
    ],
)
def test_what_happens_is_said_in_the_picture_and_for_screen_readers(changes, line) -> None:
    root = drawn(**changes)
    assert line in texts(root)
    described = root.find("s:desc", NS)
    assert described is not None
    assert line in str(described.text)


def test_the_codec_draws_it() -> None:
    shop = ShopState(**BASE)
    assert ShopCodec(schema_of(WORKSHOP)).draw(shop) == shop_svg(shop)
