"""Calendars of itineraries: iCalendar by the standard, and at the right hour in every zone."""

import dataclasses
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.itineraries import ical, played
from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.names import Names
from compagnon.worlds.dispatch.itineraries.vtimezone import vtimezone
from tests.worlds.dispatch.worlds import plane_day

STAMP = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def unfolded(text):
    """Content lines of an iCalendar stream, by section 3.1 of RFC 5545, each checked."""
    assert text.endswith("\r\n")
    lines = []
    for raw in text[:-2].split("\r\n"):
        assert "\n" not in raw
        assert "\r" not in raw
        assert len(raw.encode()) <= 75
        if raw.startswith(" "):
            lines[-1] += raw[1:]
        else:
            lines.append(raw)
    return lines


def parsed(text):
    """Components as (name, {property: [(params, value)]}, children), by a reader of its own."""
    stack = [("", {}, [])]
    for line in unfolded(text):
        head, _, value = line.partition(":")
        name, *params = head.split(";")
        if name == "BEGIN":
            stack.append((value, {}, []))
        elif name == "END":
            done = stack.pop()
            assert done[0] == value
            stack[-1][2].append(done)
        else:
            assert name.replace("-", "").isalnum()
            stack[-1][1].setdefault(name, []).append((params, value))
    ((_, _, (calendar,)),) = [tuple(stack.pop())]
    assert not stack
    return calendar


def unescaped(value):
    found, k = "", 0
    while k < len(value):
        if value[k] == "\\":
            found += {"n": "\n", "N": "\n"}.get(value[k + 1], value[k + 1])
            k += 2
            continue
        assert value[k] not in ",;"
        found += value[k]
        k += 1
    return found


def test_a_calendar_is_one_by_the_standard():
    day = dataclasses.replace(generate("clinic-day", 3), name="2026-03-02")
    doors = [
        played.Stop(kind, minute, minute + 0.5, 2, int(place[2]), tuple(day.bookings.load[2]))
        for kind, minute, place in (
            (played.PICKUP, 500.25, day.bookings.pickup),
            (played.DROPOFF, 531.0, day.bookings.dropoff),
        )
    ]
    home = int(day.drivers.start[0])
    ends = [played.Stop(k, m, m, place=home) for k, m in ((played.START, 480), (played.END, 960))]
    plan = played.Itinerary(0, (ends[0], *doors, played.Stop(played.BREAK, 700, 730), ends[1]))
    names = Names(ids={(day.name, "driver", 0): 'Équipe "A", nord; ' + "é" * 60})
    for zone in ("Europe/Zurich", ""):
        calendar = Calendar.of(day, None, zone)
        kind, top, inner = parsed(ical.to_ical(plan, day, names, calendar, STAMP))
        assert kind == "VCALENDAR"
        assert [value for _, value in top["VERSION"]] == ["2.0"]
        assert "PRODID" in top
        assert unescaped(top["X-WR-CALNAME"][0][1]).startswith('Équipe "A", nord; éé')
        events = [one for one in inner if one[0] == "VEVENT"]
        assert [one[0] for one in inner] == ["VTIMEZONE"] * bool(zone) + ["VEVENT"] * len(events)
        assert len({event[1]["UID"][0][1] for event in events}) == len(events) == len(plan.stops)
        for event, stop in zip(events, plan.stops, strict=True):
            fields = {name: values[0][1] for name, values in event[1].items()}
            assert all(len(values) == 1 for values in event[1].values())
            assert fields["DTSTAMP"] == "20260301T120000Z"
            assert event[1]["DTSTART"][0][0] == [f"TZID={zone}"] * bool(zone)
            form = "%Y%m%dT%H%M%S"
            begin, end = (datetime.strptime(fields[f"DT{k}"], form) for k in ("START", "END"))
            assert begin < end
            assert begin.hour * 60 + begin.minute == int(stop.begins)
            assert ("GEO" in fields) == ("LOCATION" in fields) == (stop.place >= 0)
            if stop.place >= 0:
                lat, lon = (float(part) for part in fields["GEO"].split(";"))
                there = day.travel.coordinates[stop.place]
                assert (lat, lon) == pytest.approx(there.tolist(), abs=1e-6)
                assert unescaped(fields["LOCATION"]) == names.place(day, stop.place)


ZONES = (
    "Europe/Zurich", "Europe/Dublin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
    "Africa/Casablanca", "America/St_Johns", "Europe/Istanbul", "UTC",
)  # fmt: skip


def moment_of(params, value, zones):
    """What a program makes of a time that knows zones from the calendar alone (section 3.6.5)."""
    if not params:
        return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    (tzid,) = params
    local = datetime.strptime(value, "%Y%m%dT%H%M%S")
    found = [one for one in zones[tzid.removeprefix("TZID=")] if one[0] <= local]
    return (local - max(found)[1]).replace(tzinfo=UTC)


def zone_of(component):
    kind, fields, observances = component
    assert kind == "VTIMEZONE"
    found = []
    for name, one, inner in observances:
        assert name in ("STANDARD", "DAYLIGHT")
        assert not inner
        assert set(one) == {"DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "TZNAME"}
        begin = datetime.strptime(one["DTSTART"][0][1], "%Y%m%dT%H%M%S")
        old, new = (
            datetime.strptime(one[f"TZOFFSET{k}"][0][1], "%z").utcoffset() for k in ("FROM", "TO")
        )
        assert old != new or begin.year == 1970
        found.append((begin, new))
    return fields["TZID"][0][1], found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", ["2026-01-15", "2026-07-15", "2026-03-29", "2026-10-25",
                                  "2026-04-04", "2026-03-07", "2026-02-14"])  # fmt: skip
def test_a_calendar_of_a_zone_shows_the_hour_everywhere(name, zone):
    """By a program that knows no zone, but for what the file says: every quarter of two days."""
    day = dataclasses.replace(plane_day([{}], [{}], [(0, 0), (1, 0), (2, 0)]), name=name)
    calendar = Calendar.of(day, None, zone)
    stops = [played.Stop(played.BREAK, m, m + 15.0) for m in np.arange(0.0, 2880.0, 15.0).tolist()]
    _, _, (head, *events) = parsed(
        ical.to_ical(played.Itinerary(0, tuple(stops)), day, Names(), calendar, STAMP)
    )
    zones = dict([zone_of(head)])
    begins = datetime.combine(calendar.day, datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    for event, stop in zip(events, stops, strict=True):
        for field, minute in (("DTSTART", stop.begins), ("DTEND", stop.ends)):
            ((params, value),) = event[1][field]
            assert moment_of(params, value, zones) == begins + timedelta(minutes=minute)
            if params:
                there = begins + timedelta(minutes=minute)
                assert value == f"{there.astimezone(ZoneInfo(zone)):%Y%m%dT%H%M%S}"


def test_a_zone_is_described_as_the_standard_does():
    """The night of 25 October in Zurich: the change before it, and that in it."""
    zone = ZoneInfo("Europe/Zurich")
    first = datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert vtimezone(zone, first, datetime(2026, 10, 25, 12, tzinfo=UTC)) == [
        "BEGIN:VTIMEZONE", "TZID:Europe/Zurich",
        "BEGIN:DAYLIGHT", "DTSTART:20260329T020000", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0200",
        "TZNAME:CEST", "END:DAYLIGHT",
        "BEGIN:STANDARD", "DTSTART:20261025T030000", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0100",
        "TZNAME:CET", "END:STANDARD", "END:VTIMEZONE",
    ]  # fmt: skip
    assert "DTSTART:20261025T030000" not in vtimezone(zone, first, first)
    assert vtimezone(ZoneInfo("Asia/Kolkata"), first, first)[2:-1] == [
        "BEGIN:STANDARD", "DTSTART:19700101T000000", "TZOFFSETFROM:+0530", "TZOFFSETTO:+0530",
        "TZNAME:IST", "END:STANDARD",
    ]  # fmt: skip


def test_long_lines_are_folded_between_characters():
    for text in ("x" * 200, "é" * 100, "\N{WHEELCHAIR SYMBOL}" * 60, "a" + "é" * 74):
        parts = list(ical.fold(text))
        assert all(len(part.encode()) <= 75 for part in parts)
        assert parts[0] + "".join(part[1:] for part in parts[1:]) == text
    assert unescaped(ical.escape("a, b; c\\d\ne\x07")) == "a, b; c\\d\ne"
