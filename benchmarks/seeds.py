"""Trains a recipe with several seeds and judges each best policy on the same unseen episodes."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch and numba load their threads

from rich.console import Console
from rich.table import Table

from compagnon.envs import BatchEnv
from compagnon.evaluation.evaluate import evaluate
from compagnon.policy import Schema, load_policy
from compagnon.policy.network import DeterministicPolicy, ValuesPolicy
from compagnon.rl.recipe import load_recipe
from compagnon.rl.run import CLONE, LAST, Run
from compagnon.rl.trainer import Trainer, start
from harness import QUICK

EPISODES, UNSEEN = 100, 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--quick", action="store_true", help=QUICK)
    options = parser.parse_args()
    rows = [one_seed(options, seed) for seed in options.seeds]
    show(options.recipe, rows)
    if options.json is not None:
        options.json.write_text(json.dumps({"recipe": options.recipe, "seeds": rows}, indent=1))
    return 0


def one_seed(options: argparse.Namespace, seed: int) -> dict[str, object]:
    changes: dict[str, object] = {"seed": seed}
    if options.quick:
        changes |= {"budget.iterations": 2, "evaluation.episodes": 1}
    if options.threads is not None:
        changes["threads"] = options.threads
    recipe = load_recipe(options.recipe, changes)
    folder = options.out / f"{recipe.name}-{seed}"
    if folder.exists() and Run.open(folder).recipe != recipe:
        raise SystemExit(
            f"{folder} is a run of another recipe: move it away, or give another --out"
        )
    trainer = Trainer.resume(folder) if folder.exists() else start(recipe, folder)
    began = time.monotonic()
    outcome = trainer.train()
    print(f"{recipe.name} seed {seed}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return {
        "seed": seed,
        "minutes": outcome.progress.seconds / 60,
        **judge(Run(folder), 2 if options.quick else EPISODES),
    }


def judge(run: Run, episodes: int) -> dict[str, object]:
    """Figures of a run's best policy on episodes that its training never saw."""
    recipe = run.recipe
    env = (recipe.env.id, recipe.env.args)
    schema = Schema.of(BatchEnv(*env, 1))
    names = recipe.references()
    policies = [load_policy(name, schema) for name in names]
    best, last = load_policy(str(run.path), schema), load_policy(str(run.path / LAST), schema)
    found = evaluate([*policies, best], *env, episodes, UNSEEN)
    score = found.scores[-1]
    figures: dict[str, object] = {
        "best": score.mean,
        "sd": score.sd,
        "last": evaluate([last], *env, episodes, UNSEEN).scores[0].mean,
        **{name: score.kpis[name] for name in ("profit", "survived") if name in score.kpis},
        "against": {name: score.mean for name, score in zip(names, found.scores, strict=False)},
    }
    if not isinstance(best, ValuesPolicy | DeterministicPolicy):
        sampled = evaluate([best], *env, episodes, UNSEEN, sampled=True)
        figures["best_sampled"] = sampled.scores[0].mean
    if names:
        figures["paired"] = found.paired[-1].mean
        figures["paired_ci95"] = found.paired[-1].ci95
        figures["win_share"] = found.paired[-1].win_share
    if (run.path / CLONE).is_dir():
        clone = load_policy(str(run.path / CLONE), schema)
        figures["clone"] = evaluate([clone], *env, episodes, UNSEEN).scores[0].mean
        figures["clone_sampled"] = (
            evaluate([clone], *env, episodes, UNSEEN, sampled=True).scores[0].mean
        )
    lines = run.metrics()
    judged = [line for line in lines if "eval/return" in line]
    clones = [line["eval/return"] for line in judged if line["phase"] == "dagger"]
    later = [line["eval/return"] for line in judged if line["phase"] == "ppo"]
    if clones and later:
        figures["lowest_share_of_clone"] = min(later) / clones[-1]
    rare = [line["rare_accuracy"] for line in lines if "rare_accuracy" in line]
    if rare:
        figures["rare_accuracy"] = rare[-1]
    return figures


def show(recipe: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=f"{recipe}: {EPISODES} unseen episodes, seed by seed")
    columns = [key for key in rows[0] if key not in ("against", "paired_ci95")]
    for column in [*columns, "95 % interval"]:
        table.add_column(column, justify="right")
    for row in rows:
        cells = [f"{row[c]:,.3f}" if isinstance(row[c], float) else str(row[c]) for c in columns]
        low, high = row.get("paired_ci95", (float("nan"), float("nan")))  # type: ignore[misc]
        table.add_row(*cells, f"{low:,.1f} to {high:,.1f}" if "paired_ci95" in row else "")
    means = [float(row["best"]) for row in rows]  # type: ignore[arg-type]
    console = Console(width=200)
    console.print(table)
    console.print(
        f"best: mean {sum(means) / len(means):,.2f}, {min(means):,.2f} to {max(means):,.2f}; "
        f"references: {rows[0]['against'] or 'none'}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
