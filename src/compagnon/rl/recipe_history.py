"""What a run's recipe was at each moment: a resume may change settings, and the run says so."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compagnon.files import write_file
from compagnon.policy.provenance import RecipeChange, timestamp
from compagnon.rl.provenance import Origin
from compagnon.rl.recipe import Recipe

HISTORY_FILE = "recipe.history.jsonl"


def flat_settings(recipe: Recipe) -> dict[str, Any]:
    """Dotted key -> value of every setting that has one."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(f"{prefix}.{key}" if prefix else key, item)
        else:
            flat[prefix] = value

    walk("", recipe.model_dump(mode="json", exclude_none=True))
    return flat


def read_history(folder: Path) -> list[RecipeChange]:
    """The lines of a run's history, in order; the first says everything that it was begun with.

    A line that a kill cut short is left out. A run from before there were histories has none.
    """
    path = folder / HISTORY_FILE
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(RecipeChange.model_validate_json(text))
        except ValidationError:
            break
    return lines


def recipe_changes(lines: Sequence[RecipeChange]) -> tuple[RecipeChange, ...]:
    """What was changed on the way: changes at one iteration as one, those taken back left out."""
    merged: list[RecipeChange] = []
    for line in lines[1:]:
        fields = dict(line.fields)
        if merged and merged[-1].iteration == line.iteration:
            before = merged.pop().fields
            for key, (old, _) in before.items():
                fields[key] = (old, fields[key][1] if key in fields else before[key][1])
        fields = {key: pair for key, pair in fields.items() if pair[0] != pair[1]}
        if fields:
            merged.append(line.model_copy(update={"fields": fields}))
    return tuple(merged)


def note_recipe(
    folder: Path, begun_with: Recipe, origin: Origin, iteration: int, env_steps: int
) -> tuple[RecipeChange, ...]:
    """Write down what the run goes on with, where that differs from what it was until now.

    Lines from after `iteration` are forgotten: what they tell of will be done again.

    Args:
        begun_with: the recipe that stands in the run's folder, for a run without a history yet.

    Returns:
        All that was changed since the run began.
    """
    lines = [line for line in read_history(folder) if line.iteration <= iteration]
    moment = {"iteration": iteration, "env_steps": env_steps, "time": timestamp()}
    data = {f"data.{one.role}": one.sha256 for one in origin.data}
    if not lines:  # of an old run, what it was trained on is known from now on
        begun = flat_settings(begun_with) | data
        fields = {key: (None, value) for key, value in begun.items()}
        lines.append(RecipeChange(**moment, fields=fields))
    until_now: dict[str, Any] = {}
    for line in lines:
        until_now |= {key: new for key, (_, new) in line.fields.items()}
    now = flat_settings(origin.recipe) | data
    changed = {
        key: (until_now.get(key), now.get(key))
        for key in sorted(until_now.keys() | now.keys())
        if until_now.get(key) != now.get(key)
    }
    if changed:
        lines.append(RecipeChange(**moment, fields=changed))
    text = "".join(json.dumps(line.model_dump(mode="json")) + "\n" for line in lines)
    if not (folder / HISTORY_FILE).is_file() or text != (folder / HISTORY_FILE).read_text("utf-8"):
        write_file(folder / HISTORY_FILE, text)
    return recipe_changes(lines)
