"""Numbers, days, times, yes and no as people write them in spreadsheets, French ones among them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Final, NamedTuple

_SPACES: Final = str.maketrans("", "", " \t\u00a0\u202f\u2009")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f\u2009]\d{3})+(?:[.,]\d+)?")
YES: Final = frozenset(("yes", "y", "true", "1", "x", "oui", "o", "vrai", "ja", "wahr", "si"))
NO: Final = frozenset(("", "no", "n", "false", "0", "non", "faux", "nein", "falsch"))
_ISO_DAY = r"(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)"
_LOCAL_DAY = r"(?P<first>\d{1,2})(?P<mark>[./-])(?P<second>\d{1,2})(?P=mark)(?P<late>\d{4}|\d\d)"
_CLOCK = (
    r"(?P<hour>\d{1,2})(?:\s?[:hH]\s?(?P<minute>\d\d)?(?::(?P<seconds>\d\d(?:[.,]\d{1,6})?))?"
    r"|\.(?P<dotted>\d\d)|(?=\s?[aApP]\.?[mM]))"
    r"(?:\s?(?P<half>[aApP])\.?[mM]\.?)?(?P<zone>[Zz]|[+-]\d\d:?\d\d)?"
)
_WHEN = re.compile(rf"(?:(?:{_ISO_DAY}|{_LOCAL_DAY})(?:(?:[T ]|, ?| à | at )\s*)?)?(?:{_CLOCK})?")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(?:\d{4}|\d\d)(?!\d)")
_HALF = re.compile(r"\d\s?[ap]\.?m\.?$", re.IGNORECASE)


class When(NamedTuple):
    """What a cell says of a moment; None for what it leaves out.

    Attributes:
        zone: the offset that is written behind the time.
    """

    day: date | None
    clock: time | None
    zone: timezone | None


def plain(text: str) -> str:
    """Without accents, in small letters, with single spaces: `Départ ` is `depart`."""
    if not text.isascii():
        typed = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        text = unicodedata.normalize("NFKD", typed).encode("ascii", "ignore").decode()
    return " ".join(text.lower().split())


def heading(text: str) -> str:
    """A column's name in one form: `Heure de départ` is `heure_de_depart`."""
    # The sign of "numéro" would become an "o" without its accent.
    marked = text.replace("\N{DEGREE SIGN}", " ").replace("\N{MASCULINE ORDINAL INDICATOR}", " ")
    return "_".join(re.findall(r"[a-z0-9]+", plain(marked)))


def translated(cells: Sequence[str], words: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns of a first line by our names where they have one, else in one plain form.

    A heading that is our name itself comes before one that is another word for it, and of several
    such words the first counts.
    """
    names = [heading(cell) for cell in cells]
    known = {word: ours for ours, others in words.items() for word in others}
    taken = set(names) & words.keys()
    found = []
    for name in names:
        ours = name if name in words else known.get(name, "")
        if name in words or (ours and ours not in taken):
            taken.add(ours)
            name = ours
        found.append(name)
    return found


def number_of(text: str) -> float | None:
    """The number that a text is, with a decimal point or comma; None if it is none."""
    if not _NUMBER.fullmatch(text):
        if not _GROUPED.fullmatch(text):
            return None
        text = text.translate(_SPACES)
    return float(text.replace(",", "."))


def truth_of(text: str) -> bool | None:
    """Yes or no; None if it is neither. An empty text is a no."""
    word = plain(text)
    if word in YES:
        return True
    return False if word in NO else None


def month_comes_first(texts: Iterable[str]) -> bool:
    """Whether days such as `3/2/2026` in these cells have the month first, as in the USA.

    They do where one of them can't be read otherwise, or times have am and pm, and where none has
    a day above 12 in the first place. Everywhere else the day comes first.
    """
    american = False
    for text in texts:
        american |= bool(_HALF.search(text))
        slashed = _SLASHED.match(text)
        if slashed:
            if int(slashed[1]) > 12:
                return False
            american |= int(slashed[2]) > 12
    return american


def has_slashes(text: str) -> bool:
    """Whether a day is written with slashes: day and month could be taken for each other."""
    return bool(_SLASHED.match(text))


def when_of(text: str, month_first: bool = False) -> When | None:
    """The day, the time, or both, that a text says; None if it is no moment in a known form.

    Known are `2026-03-02`, `02/03/2026`, `02.03.2026`, `2/3/26`, each alone or with a time behind
    it, and times such as `08:15`, `8h15`, `8 h`, `8:15:30`, `8:15 AM`, `8 AM`, `8.15`, with an
    offset behind them or none.

    Raises:
        ValueError: it has that form, and there is no such day or time.
    """
    match = _WHEN.fullmatch(text.strip().replace("\u00a0", " ").replace("\u202f", " "))
    if not match or not (match["year"] or match["first"] or match["hour"]):
        return None
    if match["minute"] is None and match["seconds"] is not None:
        return None
    day, clock, zone = None, None, None
    if match["year"]:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    elif match["first"]:
        first, second = int(match["first"]), int(match["second"])
        if month_first and match["mark"] == "/":
            first, second = second, first
        year = int(match["late"])
        day = date(year if len(match["late"]) == 4 else 2000 + year, second, first)
    if match["hour"]:
        clock = _clock(match)
    if match["zone"]:
        zone = _zone(match["zone"])
    return When(day, clock, zone)


def _clock(match: re.Match[str]) -> time:
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if match["half"] in "pP" else 0)
    seconds = float((match["seconds"] or "0").replace(",", "."))
    whole = datetime.combine(
        date.min, time(hour, int(match["minute"] or match["dotted"] or 0), int(seconds))
    )
    return (whole + timedelta(seconds=seconds % 1)).time()


def _zone(text: str) -> timezone:
    if text in "Zz":
        return timezone.utc  # noqa: UP017 (a fixed offset like the others)
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-ahead if text[0] == "-" else ahead)
