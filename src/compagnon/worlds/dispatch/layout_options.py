"""The options by which `data import` and `data check` learn somebody else's layout."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from tyro.conf import arg

from compagnon import output
from compagnon.arguments import flag, optional
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.worlds.dispatch.importing.columns import Table
    from compagnon.worlds.dispatch.importing.guess import Guessed
    from compagnon.worlds.dispatch.importing.profile import Profile
    from compagnon.worlds.dispatch.importing.tables import Reading

_SURE: Final = ((0.95, "sure"), (0.8, "likely"), (0.0, "look at it"))
_SAMPLE: Final = 40  # characters of a sample that are shown


@dataclass(frozen=True)
class Layout:
    """How somebody's tables are read."""

    map: Annotated[
        tuple[str, ...],
        optional("F=COLUMN...", "which column is a field: pickup_time=Heure, drivers.id=Chauffeur"),
    ] = ()
    set: Annotated[
        tuple[str, ...],
        optional("F=VALUE...", "what a field without a column always is: seats=ambulatory"),
    ] = ()
    profile: Annotated[
        tuple[str, ...],
        optional("NAME|FILE...", "how the columns are read: one that ships, or a TOML of yours"),
    ] = ()
    guess: Annotated[
        bool, flag("guess the columns, show the guess, and write it as a profile to edit")
    ] = False
    yes: Annotated[bool, flag("take the guess without asking")] = False
    tolerance: Annotated[
        tuple[str, ...],
        optional("MIN...", "around one time: 15, or pickup=15 dropoff=30, or pickup=0,10"),
    ] = ()
    sheet: Annotated[str, optional("NAME", "the sheet of an XLSX with several")] = ""
    places: Annotated[
        tuple[Path, ...], optional("FILE...", "points of addresses: name or address, lat, lon")
    ] = ()
    missing: Annotated[
        Path | None, optional("FILE", "list the addresses that have no point yet")
    ] = None
    vehicles: Annotated[
        tuple[str, ...],
        arg(metavar="'N x SEATS'...", help="in place of --drivers: '3 x 2 ambulatory'"),
    ] = ()

    def profiles(self) -> tuple["Profile", "Profile"]:
        """How bookings and drivers are read, but for what is guessed.

        Raises:
            InputError: an option, or a profile, says what cannot be.
        """
        from compagnon.worlds.dispatch.importing import profile

        found: dict[str, Profile] = {}
        for name in self.profile:
            one = profile.load_profile(name)
            kind = one.kind if one.kind == "drivers" else "bookings"
            if kind in found:
                raise InputError(f"--profile: {found[kind].source} and {name} are both of {kind}")
            found[kind] = one
        given = found.get("bookings", profile.KNOWN)
        if given.kind in profile.INSTANCES:
            self.refuse_beside(given.kind)
            return given, found.get("drivers", profile.Profile("drivers"))
        rides, fleet = profile.with_columns(
            given, found.get("drivers", profile.Profile("drivers")), self.map, self.set
        )
        tolerance = {**rides.tolerance, **profile.read_tolerance(self.tolerance)}
        sheet = self.sheet or rides.sheet
        return replace(rides, tolerance=tolerance, sheet=sheet), fleet

    def refuse_useless(self, file: Path, drivers: Path | None) -> None:
        """Refuse what would do nothing: who says it has something else in mind.

        Raises:
            InputError: names the option.
        """
        if self.yes and not self.guess:
            raise InputError("--yes: of no use without --guess, which it agrees to")
        if self.sheet and file.is_file() and _is_text(file):
            raise InputError(f"--sheet {self.sheet}: {file} is no XLSX, and has no sheets")
        for option, pairs in (("--map", self.map), ("--set", self.set)):
            mine = [one for one in pairs if one.strip().startswith("drivers.")]
            if mine and drivers is None:
                raise InputError(f"{option} {mine[0]}: of no use without --drivers")

    def refuse_beside(self, kind: str) -> None:
        """Refuse what says how a table is read, beside an instance, which is none.

        Raises:
            InputError: names the options.
        """
        given = {"--map": self.map, "--set": self.set, "--tolerance": self.tolerance,
                 "--guess": self.guess, "--places": self.places, "--sheet": self.sheet,
                 "--vehicles": self.vehicles, "--missing": self.missing}  # fmt: skip
        useless = [name for name, value in given.items() if value]
        if useless:
            raise InputError(
                f"{', '.join(useless)}: of no use with an instance ({kind}), which is no table"
            )

    def learnt(self, reading: "Reading", file: Path, drivers: Path | None) -> "Reading":
        """The reading with the columns that are guessed, once a person has agreed to them.

        Raises:
            InputError: nobody agreed; the guess is written then, and nothing is imported.
        """
        if not self.guess:
            return reading
        from compagnon.worlds.dispatch.importing.columns import BOOKINGS, DRIVERS
        from compagnon.worlds.dispatch.importing.guess import guess_profile

        if reading.bookings.complete:
            raise InputError("--guess and --profile: a profile needs no guess; leave one out")
        tables = [(file, BOOKINGS, reading.bookings)]
        if drivers is not None and not _is_known(drivers, DRIVERS, reading.drivers):
            tables.append((drivers, DRIVERS, reading.drivers))
        targets = [Path(f"{path.stem}.profile.toml") for path, _, _ in tables]
        output.claim(None, *targets)
        found = [guess_profile(*one) for one in tables]
        for (path, _, _), one, target in zip(tables, found, targets, strict=True):
            _show(path, one)
            comment = f"How {path.name} seems to be read. Look at every line, and change what is "
            output.write_text(target, one.profile.to_toml(comment + "wrong."))
        if not self.yes and not _agreed(targets):
            raise InputError(
                "nothing is imported by a guess that nobody has agreed to: look at "
                f"{' and '.join(map(str, targets))}, and give --profile with it, or --yes"
            )
        fleet = found[1].profile if len(found) > 1 else reading.drivers
        return reading._replace(bookings=found[0].profile, drivers=fleet)


def _is_text(file: Path) -> bool:
    from compagnon.worlds.dispatch.importing.xlsx_reader import is_old, is_xlsx

    try:
        with file.open("rb") as opened:
            begin = opened.read(8)
    except OSError:
        return False  # whoever reads it says why
    return not (is_xlsx(begin) or is_old(begin))


def _is_known(path: Path, table: "Table", given: "Profile") -> bool:
    """Whether the headings that are known are all that a table needs."""
    from compagnon.worlds.dispatch.importing.columns import find_columns
    from compagnon.worlds.dispatch.importing.csv_reader import read_lines
    from compagnon.worlds.dispatch.importing.findings import Findings

    header = read_lines(path, Findings(), given)[0][1]
    try:
        find_columns(path, header, table, given, [])
    except InputError:
        return False
    return True


def _show(path: Path, found: "Guessed") -> None:
    screen = output.console()
    screen.print(f"{path.name} seems to have these columns:", soft_wrap=True)
    rows = [
        (one.field, " + ".join(one.cells), one.sample[:_SAMPLE], f"{one.sure:.0%}", _said(one.sure))
        for one in found.fields
    ]
    heads = ("field", "column", "first", "sure", "")
    screen.print(output.table(heads, rows, numbers=False))
    if found.unused:
        screen.print(f"not used, and dropped: {', '.join(found.unused)}", soft_wrap=True)
    for end, (before, after) in found.profile.tolerance.items():
        screen.print(f"a {end} is {before:g} minutes before to {after:g} after its one time")
    screen.print()


def _said(sure: float) -> str:
    return next(word for least, word in _SURE if sure >= least)


def _agreed(targets: Sequence[Path]) -> bool:
    if not sys.stdin.isatty():
        return False
    output.console(stderr=True).print(f"written to {', '.join(map(str, targets))}", soft_wrap=True)
    print("Import by this guess? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes", "o", "oui")
