"""Rewrites the tables of these pages from the code: `python docs/make_tables.py`.

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. With ``--check`` nothing is
written, and the exit code is 1 if a page differs from the code.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compagnon.rl.dagger import DaggerSettings
from compagnon.rl.ddpg import DDPGSettings
from compagnon.rl.dqn import DQNSettings
from compagnon.rl.expert_iteration import ExpertIterationSettings
from compagnon.rl.hybrid import HybridSettings
from compagnon.rl.ppo import PPOSettings
from compagnon.rl.recipe import (
    BudgetSpec,
    CheckpointSpec,
    EnvSpec,
    EvaluationSpec,
    NetworkSpec,
    Recipe,
    VideoSpec,
    load_recipe,
    shipped_recipes,
)
from compagnon.worlds.ball.options import BallOptions
from compagnon.worlds.dispatch_poc.kpis import KPI_NAMES as POC_KPI_NAMES
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.workshop.experts.experts import shipped_levels
from compagnon.worlds.workshop.fields import FIELDS, OBSERVATION_SETS
from compagnon.worlds.workshop.kpis import KPI_NAMES
from compagnon.worlds.workshop.options import WorkshopOptions

MODELS: dict[str, type[BaseModel]] = {
    "workshop-options": WorkshopOptions,
    "ball-options": BallOptions,
    "poc-options": PocOptions,
    "recipe": Recipe,
    "recipe-env": EnvSpec,
    "recipe-network": NetworkSpec,
    "recipe-budget": BudgetSpec,
    "recipe-evaluation": EvaluationSpec,
    "recipe-checkpoint": CheckpointSpec,
    "recipe-video": VideoSpec,
    "dqn": DQNSettings,
    "ppo": PPOSettings,
    "ddpg": DDPGSettings,
    "dagger": DaggerSettings,
    "hybrid": HybridSettings,
    "expert-iteration": ExpertIterationSettings,
}
MINUTES_A_DECISION = 10_080 / 1_717  # of expert v2 on tight demand
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def markdown(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in cells] for cells in lines)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in escaped)


def settings(model: type[BaseModel]) -> str:
    """Every key of a model that takes a value, rather than a table of its own."""
    rows = [
        (f"`{name}`", default(field), bounds(field), field.description or "")
        for name, field in model.model_fields.items()
        if name != "kind" and field.description
    ]
    return markdown(("key", "default", "allowed", "meaning"), rows)


def default(field: FieldInfo) -> str:
    """A default as TOML writes it; nothing where there is none."""
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value is None:
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def bounds(field: FieldInfo) -> str:
    """What a value must satisfy, in words."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    words = []
    for rule in field.metadata:
        words += [
            f"{word} {getattr(rule, name):,}"
            for name, word in BOUNDS.items()
            if getattr(rule, name, None) is not None
        ]
        if getattr(rule, "pattern", None):
            words.append(f"`{rule.pattern}`")
    return ", ".join(words)


def observation_fields() -> str:
    """The workshop's fields, and the sets that hold them."""
    rows = []
    for index, field in enumerate(FIELDS):
        sets = ", ".join(key for key, names in OBSERVATION_SETS.items() if field.name in names)
        span = f"{field.low:,.0f} to {field.high:,.0f}"
        number = f"{field.divisor:,.0f}"
        rows.append(
            (str(index), f"`{field.name}`", field.unit, span, number, sets or "-", field.meaning)
        )
    return markdown(("#", "field", "unit", "range", "divisor", "sets", "meaning"), rows)


def base_stock_levels() -> str:
    """The levels that ship."""
    shipped = shipped_levels()
    names = next(iter(shipped.values()))._fields
    rows = [(f"`{n}`", *(str(getattr(levels, n)) for levels in shipped.values())) for n in names]
    return markdown(("level", *(f"`{name}`" for name in shipped)), rows)


def recipes() -> str:
    """The recipes that ship."""
    rows = []
    for name in shipped_recipes():
        recipe = load_recipe(name)
        rows.append((f"`{name}`", recipe.algorithm.kind, recipe.description))
    return markdown(("recipe", "algorithm", "what it does"), rows)


def reach() -> str:
    """How far back credit goes, 1 / (1 - gamma lambda) steps, under usual settings and ours."""
    cases = [("a step a minute, common defaults", 0.999, 0.95, 1.0)]
    cases.append(("decision points, the same", 0.999, 0.95, MINUTES_A_DECISION))
    for name in ("workshop-published", "workshop-tight", "workshop-volatile"):
        algorithm = load_recipe(name).algorithm
        assert isinstance(algorithm, HybridSettings)
        ppo = algorithm.ppo
        cases.append((f"`{name}`", ppo.gamma, ppo.gae_lambda, MINUTES_A_DECISION))
    rows = []
    for name, gamma, gae_lambda, minutes in cases:
        span = minutes / (1 - gae_lambda * gamma**minutes)
        words = f"{span:.0f} minutes" if span < 60 else f"{span / 60:.1f} hours"
        rows.append((name, str(gamma), str(gae_lambda), words))
    return markdown(("recipe", "gamma (a minute)", "lambda (a decision)", "reach"), rows)


def table(name: str) -> str:
    """The table called `name`."""
    if name in MODELS:
        return settings(MODELS[name])
    made = {
        "workshop-fields": observation_fields,
        "poc-kpis": lambda: ", ".join(f"`{kpi}`" for kpi in POC_KPI_NAMES) + ".",
        "workshop-kpis": lambda: ", ".join(f"`{kpi}`" for kpi in KPI_NAMES) + ".",
        "base-stock-levels": base_stock_levels,
        "recipes": recipes,
        "reach": reach,
    }
    return made[name]()


def main() -> int:
    """Bring every page up to date, or say which one is not."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    for page in sorted(Path(__file__).parent.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = re.sub(
            r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- /table -->)",
            lambda found: f"{found[1]}{table(found[2])}\n{found[3]}",
            text,
            flags=re.DOTALL,
        )
        if fresh != text:
            stale.append(page)
            if not check:
                page.write_text(fresh, encoding="utf-8")
    for page in stale:
        print(f"{page} {'is behind the code' if check else 'was brought up to date'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
