"""What docs/worlds.md shows runs as it stands there, and its table names parts that there are."""

import re
import subprocess
import sys
from pathlib import Path

from compagnon.worlds import World

PAGE = (Path(__file__).parents[2] / "docs" / "worlds.md").read_text()


def test_the_examples_run_and_give_what_is_shown() -> None:
    world, codec = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shown = PAGE.rstrip().removesuffix("```").rpartition("```\n")[2].strip()
    done = subprocess.run(
        [sys.executable, "-c", f"{world}\n{codec}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shown


def test_the_table_names_every_part_and_no_other() -> None:
    table = PAGE.partition("## What a world may bring")[2].partition("## ")[0]
    named = set(re.findall(r"`(\w+)(?:\(\))?`", "".join(row.split("|")[1] for row in
                re.findall(r"^\|.*$", table, re.MULTILINE)[2:])))  # fmt: skip
    parts = {name for name in vars(World) if not name.startswith("_")}
    left_out = {"episode_units", "always_masked", "usual", "demo_recipe", "extras"}
    assert named == parts - left_out - {"imitation_recipe", "published_imitation"}
