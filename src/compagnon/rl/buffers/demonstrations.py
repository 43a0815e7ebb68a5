"""Decisions that somebody recorded, from a CSV or npz file: an expert who is not there to be asked.

A CSV has a line a decision: the fields of the observation by name, ``action``, and where they are
known ``episode`` and what was possible: ``mask_ids`` (the possible actions' numbers, with spaces
between them) or ``mask_0``, ``mask_1`` and so on, a truth value each. Others are passed over.

An npz holds the same as arrays: ``observations`` (N, F), ``actions`` (N,), and perhaps
``action_masks`` (N, A), ``episodes`` (N,) or ``terminals`` (N,), and ``fields`` (F,), the names of
the columns; without names they are the environment's, in its order.
"""

import csv
import difflib
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.policy.schema import Schema

ACTION, EPISODE, MASK_IDS = "action", "episode", "mask_ids"
_MASK_COLUMN: Final = re.compile(r"mask_(\d+)")
_MAX_BYTES: Final = 2_000_000_000
_TRUE, _FALSE = ("1", "true", "yes", "1.0"), ("0", "false", "no", "0.0", "")
_DELIMITERS: Final = (",", ";", "\t")
# What an array is called: by us, and by others whose files are about.
_ARRAYS: Final = {
    "observations": ("observations", "obs"),
    "actions": ("actions", "acts"),
    "action_masks": ("action_masks", "action_mask", "masks"),
    "episodes": ("episodes", "episode"),
    "terminals": ("terminals", "dones"),
    "fields": ("fields", "field_names"),
}


class Decisions(NamedTuple):
    """Recorded decisions as one environment has them.

    Attributes:
        obs: (N, F) float32, the environment's fields in its order.
        action_mask: (N, A) bool. actions: (N,) int64.
        episode: (N,) int64, numbers from 0 in the order in which the episodes came.
    """

    obs: NDArray[np.float32]
    action_mask: NDArray[np.bool_]
    actions: NDArray[np.int64]
    episode: NDArray[np.int64]


class _Fault(NamedTuple):
    row: int
    text: str


@dataclass(eq=False)
class Demonstrations:
    """N recorded decisions, in the order in which they were made.

    Args:
        obs: (N, F) numbers. actions: (N,) whole numbers.
        action_mask: (N, A), what was possible; None where everything was, or nobody knows.
        episodes: (N,) anything that tells episodes apart; None where they are not told apart.
        fields: the names of the columns of `obs`; None for the environment's, in its order.

    Attributes:
        source: what errors call them; the path, where they were read.

    Raises:
        InputError: arrays that do not belong together.
    """

    obs: NDArray[Any]
    actions: NDArray[Any]
    action_mask: NDArray[np.bool_] | None = None
    episodes: NDArray[Any] | None = None
    fields: Sequence[str] | None = None
    source: str = "demonstrations"
    # Of what was read from a CSV: the line of each decision, the first cell of each column that is
    # no number, and the possible actions where they are listed by number.
    _lines: NDArray[np.int64] | None = field(default=None, repr=False)
    _faults: dict[str, _Fault] = field(default_factory=dict, repr=False)
    _mask_ids: list[list[int]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.obs, self.actions = np.asarray(self.obs), np.asarray(self.actions)
        if self.action_mask is not None:
            self.action_mask = np.asarray(self.action_mask).astype(np.bool_)
        if self.episodes is not None:
            self.episodes = np.asarray(self.episodes)
        self._check_shapes()

    def __len__(self) -> int:
        return len(self.actions)

    def __repr__(self) -> str:
        return f"<Demonstrations: {len(self):,} decisions of {self.source}>"

    @classmethod
    def load(cls, path: str | Path) -> "Demonstrations":
        """Read a CSV or an npz file.

        Raises:
            InputError: names the file, and the row and the column where there are some.
        """
        path = Path(path)
        data = read_file(path, _MAX_BYTES)
        if data[:4] == b"PK\x03\x04":
            return cls(**_arrays(data, str(path)), source=str(path))
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: byte {error.start} is no UTF-8; decisions are read from CSV or npz"
            ) from None
        return _of_csv(text, str(path))

    def of(self, schema: Schema) -> Decisions:
        """The decisions as an environment of `schema` has them, each of them looked at.

        Raises:
            InputError: a field is missing, or a decision is none of that environment's; it names
                the row and the column.
        """
        action = schema.action
        if action.kind != "discrete":
            raise InputError(
                f"{self.source}: recorded decisions are numbered actions; those of {schema.env_id} "
                f"are {action.words}"
            )
        obs = self._observations(schema)
        actions = self._whole_actions()
        wrong = (actions < 0) | (actions >= action.n)
        if wrong.any():
            row = int(wrong.argmax())
            self._refuse(row, ACTION, f"{actions[row]}; there are 0 to {action.n - 1}")
        mask = self._masks(action.n)
        allowed = mask[np.arange(len(actions)), actions]
        if not allowed.all():
            row = int(allowed.argmin())
            self._refuse(
                row, ACTION, f"{actions[row]} was taken, which the mask of that row does not allow"
            )
        return Decisions(obs, mask, actions, self._episode_numbers())

    # -- looking ------------------------------------------------------------------------------

    def _check_shapes(self) -> None:
        n = len(self.obs)
        if self.obs.ndim != 2 or n == 0:
            raise InputError(
                f"{self.source}: observations have shape {self.obs.shape}; they should have "
                "(N, F), with one decision at least"
            )
        given = {"actions": self.actions, "action_masks": self.action_mask}
        given["episodes"] = self.episodes
        for name, array in given.items():
            if array is None:
                continue
            wanted = f"({n}, A)" if name == "action_masks" else f"({n},)"
            if array.ndim != (2 if name == "action_masks" else 1) or len(array) != n:
                raise InputError(
                    f"{self.source}: {name} have shape {array.shape}; for {n} observations they "
                    f"should have {wanted}"
                )
        if self.fields is not None and len(self.fields) != self.obs.shape[1]:
            raise InputError(
                f"{self.source}: {len(self.fields)} names for {self.obs.shape[1]} columns"
            )

    def _observations(self, schema: Schema) -> NDArray[np.float32]:
        wanted = schema.observation.names
        if self.fields is None:
            if self.obs.shape[1] != len(wanted):
                raise InputError(
                    f"{self.source}: {self.obs.shape[1]} columns without names, and "
                    f"{schema.env_id} shows {len(wanted)} fields: {', '.join(wanted)}"
                )
            columns = list(range(len(wanted)))
        else:
            place = {name: column for column, name in enumerate(self.fields)}
            for name in wanted:
                if name not in place:
                    near = difflib.get_close_matches(name, place, n=1)
                    hint = f"; is {near[0]!r} the one?" if near else ""
                    raise InputError(
                        f"{self.source}: there is no column {name!r}, which {schema.env_id} "
                        f"shows{hint} (there are {', '.join(place)})"
                    )
            columns = [place[name] for name in wanted]
        for name in wanted:
            if name in self._faults:
                row, text = self._faults[name]
                self._refuse(row, name, f"{text!r} is not a finite number")
        try:
            with np.errstate(over="ignore"):
                obs = self.obs[:, columns].astype(np.float32)
        except (TypeError, ValueError):
            raise InputError(f"{self.source}: observations should be numbers") from None
        finite = np.isfinite(obs)
        if not finite.all():
            row, column = (int(one) for one in np.argwhere(~finite)[0])
            self._refuse(row, wanted[column], f"{obs[row, column]} is not a finite number")
        return obs

    def _whole_actions(self) -> NDArray[np.int64]:
        actions = self.actions
        if actions.dtype.kind not in "iuf":
            raise InputError(f"{self.source}: actions should be whole numbers")
        whole = np.isfinite(actions) & (actions == np.floor(actions))
        if not whole.all():
            row = int(whole.argmin())
            self._refuse(row, ACTION, f"{actions[row]} is not a whole number")
        return actions.astype(np.int64)

    def _masks(self, n: int) -> NDArray[np.bool_]:
        if self._mask_ids is not None:
            mask = np.zeros((len(self), n), np.bool_)
            for row, ids in enumerate(self._mask_ids):
                if ids and not 0 <= min(ids) <= max(ids) < n:
                    self._refuse(row, MASK_IDS, f"{ids} are not all of 0 to {n - 1}")
                mask[row, ids] = True
        elif self.action_mask is None:
            return np.ones((len(self), n), np.bool_)
        else:
            mask = self.action_mask
        if mask.shape[1] != n:
            raise InputError(
                f"{self.source}: the masks have {mask.shape[1]} truth values, for {n} actions"
            )
        possible = mask.any(axis=1)
        if not possible.all():
            self._refuse(int(possible.argmin()), "mask", "nothing is possible")
        return mask

    def _episode_numbers(self) -> NDArray[np.int64]:
        if self.episodes is None:
            return np.zeros(len(self), np.int64)
        _, first, number = np.unique(self.episodes, return_index=True, return_inverse=True)
        order = np.empty(len(first), np.int64)
        order[np.argsort(first)] = np.arange(len(first))
        return np.asarray(order[number.ravel()], np.int64)

    def _refuse(self, row: int, column: str, what: str) -> NoReturn:
        line = row if self._lines is None else int(self._lines[row])
        raise InputError(f"{self.source}, row {line}, column {column}: {what}")


# -- CSV ------------------------------------------------------------------------------------------


def _of_csv(text: str, source: str) -> Demonstrations:
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    comma = delimiter == ";"  # where a semicolon parts cells, a comma is a decimal point
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    names = [name.strip() for name in next(reader, [])]
    if ACTION not in names:
        near = difflib.get_close_matches(ACTION, names, n=1)
        hint = f"; is {near[0]!r} the one?" if near else ""
        raise InputError(
            f"{source}: its first line should name the columns, and one of them {ACTION!r}; it "
            f"names {', '.join(filter(None, names)) or 'nothing'}{hint}"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{source}: two columns are called {twice!r}")
    mask_columns = _mask_columns(names, source)
    masked = {*mask_columns, MASK_IDS, ACTION, EPISODE}
    fields = [name for name in names if name not in masked]
    place = {name: column for column, name in enumerate(names)}

    faults: dict[str, _Fault] = {}
    numbers: list[list[float]] = []
    actions: list[float] = []
    episodes: list[str] = []
    ids: list[list[int]] = []
    masks: list[list[bool]] = []
    lines: list[int] = []
    for cells in _rows(reader, len(names), source):
        row, line = len(lines), reader.line_num
        lines.append(line)
        numbers.append([_number(cells[place[name]], comma, name, row, faults) for name in fields])
        actions.append(_action(cells[place[ACTION]], source, line))
        if EPISODE in place:
            episodes.append(cells[place[EPISODE]].strip())
        if MASK_IDS in place:
            ids.append(_ids(cells[place[MASK_IDS]], source, line))
        if mask_columns:
            masks.append([_truth(cells[place[n]], source, line, n) for n in mask_columns])
    if not lines:
        raise InputError(f"{source}: there is no decision below its first line")
    return Demonstrations(
        np.array(numbers, np.float64).reshape(len(lines), len(fields)),
        np.array(actions),
        np.array(masks, np.bool_) if masks else None,
        np.array(episodes) if episodes else None,
        fields,
        source,
        np.array(lines),
        faults,
        ids or None,
    )


def _mask_columns(names: Sequence[str], source: str) -> list[str]:
    """``mask_0``, ``mask_1`` ... in the order of the actions."""
    found = sorted(int(m[1]) for m in map(_MASK_COLUMN.fullmatch, names) if m)
    if found and MASK_IDS in names:
        raise InputError(f"{source}: give {MASK_IDS} or mask_0, mask_1 and so on, not both")
    if found != list(range(len(found))):
        missing = next(k for k in range(len(found)) if k not in found)
        raise InputError(f"{source}: there is no column mask_{missing}, but later ones")
    return [f"mask_{k}" for k in found]


def _rows(reader: Any, width: int, source: str) -> Iterator[list[str]]:
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{source}, row {reader.line_num}: {error}") from None
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue  # an empty line
        if len(cells) != width:
            raise InputError(
                f"{source}, row {reader.line_num}: {len(cells)} cells, for {width} columns"
            )
        yield cells


def _number(text: str, comma: bool, name: str, row: int, faults: dict[str, _Fault]) -> float:
    """A cell of an observation; one that is none is only noted: nobody may need its column."""
    try:
        value = float(text.replace(",", ".") if comma else text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        faults.setdefault(name, _Fault(row, text))
    return value


def _action(text: str, source: str, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{source}, row {line}, column {ACTION}: {text!r} is not a whole number"
        ) from None


def _ids(text: str, source: str, line: int) -> list[int]:
    try:
        return [int(part) for part in re.split(r"[\s;|,]+", text.strip()) if part]
    except ValueError:
        raise InputError(
            f"{source}, row {line}, column {MASK_IDS}: {text!r} should be the numbers of the "
            "possible actions, such as 0 3 4"
        ) from None


def _truth(text: str, source: str, line: int, name: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise InputError(f"{source}, row {line}, column {name}: {text!r} is neither 1 nor 0")
    return word in _TRUE


# -- npz ------------------------------------------------------------------------------------------


def _arrays(data: bytes, source: str) -> dict[str, Any]:
    """The arguments of `Demonstrations` that an npz holds."""
    found: dict[str, Any] = {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            for name, others in _ARRAYS.items():
                known = next((other for other in others if other in file.files), None)
                if known is not None:
                    found[name] = file[known]
            held = ", ".join(file.files)
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if "pickle" in str(error):
            raise InputError(f"{source}: holds Python objects, which are not read") from None
        raise InputError(f"{source} is no npz file, or a damaged one") from None
    for name in ("observations", "actions"):
        if name not in found:
            raise InputError(f"{source}: there is no array {name!r} (there are {held})")
    episodes = found.get("episodes")
    if episodes is None and "terminals" in found:
        ends: NDArray[np.bool_] = np.asarray(found["terminals"]).ravel().astype(np.bool_)
        episodes = np.concatenate([[0], np.cumsum(ends[:-1])])
    actions = np.asarray(found["actions"])
    fields = found.get("fields")
    return {
        "obs": found["observations"],
        "actions": actions[:, 0] if actions.ndim == 2 and actions.shape[1] == 1 else actions,
        "action_mask": found.get("action_masks"),
        "episodes": episodes,
        "fields": None if fields is None else [str(name) for name in np.ravel(fields)],
    }
