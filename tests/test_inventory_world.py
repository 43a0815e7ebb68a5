"""A world that another package brings makes the whole journey, by what is public alone."""

import ast
import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from importlib.metadata import EntryPoint
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from compagnon import plugins
from compagnon.envs import finding
from compagnon.errors import InputError
from tests.serving.processes import serving, start

HOME = Path(__file__).parents[1] / "examples" / "inventory"
SOURCE = HOME / "src"
ENV_ID = "shop/Inventory-v0"
README = (HOME / "README.md").read_text()
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    shlex.split(line) for kind, text in BLOCKS if kind == "bash" for line in text.split("\n")
]
FILES = sorted(SOURCE.rglob("*.py"))
EPISODES = 3
# What makes each command short: its answers are looked at, not its figures.
SHORT = {
    "evaluate": ["--episodes", "8"],
    "learn": [
        "--set", "budget.iterations=4", "algorithm.dagger.iterations=2",
        "algorithm.dagger.gradient_steps=100", "algorithm.ppo.critic_warmup=1",
        "algorithm.ppo.num_envs=8", "evaluation.every=2", "evaluation.episodes=4",
    ],
    "report": ["--episodes", "8"],
    "export": ["--states", "256", "--episodes", "4"],
    "play": ["--frames", "8", "--speed", "100"],
}  # fmt: skip


@pytest.fixture
def brought(monkeypatch):
    """The world as an entry point of a package that stands on the path."""
    monkeypatch.syspath_prepend(str(SOURCE))
    installed = plugins.entry_points
    point = EntryPoint("inventory", "inventory.world:INVENTORY", plugins.WORLDS_GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*installed(group=group), point])
    for cached in (plugins.forget, finding.load_plugins.cache_clear):
        cached()
    yield
    monkeypatch.undo()
    for cached in (plugins.forget, finding.load_plugins.cache_clear):
        cached()
    gymnasium.registry.pop(ENV_ID, None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "inventory"]:
        del sys.modules[name]


@pytest.mark.usefixtures("brought")
def test_it_is_found_and_decides():
    import compagnon as cp
    from compagnon.worlds import find_world
    from compagnon.worlds.registry import recipe_texts, usual_env

    world = find_world(ENV_ID)
    assert world.name == "inventory"
    assert usual_env(["expert:inventory-min-max"]) == ENV_ID
    assert "inventory" in recipe_texts()
    found = cp.evaluate(["expert:inventory-min-max", "random"], ENV_ID, episodes=4)
    assert found.paired[0].mean < 0  # random earns less
    assert found.scores[0].kpis["profit"] == pytest.approx(found.scores[0].mean)
    told = found.as_json()["labels"]
    assert told["holding"] == {"en": "stock held", "fr": "stockage", "unit": "money"}


@pytest.mark.usefixtures("brought")
def test_a_state_is_read_as_the_environment_shows_it_and_every_refusal_has_its_reason():
    import compagnon as cp
    from compagnon.worlds import find_world
    from inventory import shop

    env = cp.make(ENV_ID)
    codec = find_world(ENV_ID).state_codec(cp.schema_of(ENV_ID), {})
    obs, info = env.reset(seed=5)
    seen = set()
    rng = np.random.default_rng(5)
    for _ in range(shop.DAYS):
        fields, mask = codec.look(env.unwrapped.shop)
        assert fields.astype(np.float32).tolist() == obs.tolist()
        assert mask.tolist() == info["action_mask"].tolist()
        whys = [codec.why_impossible(env.unwrapped.shop, action) for action in range(64)]
        assert [why is None for why in whys] == mask.tolist()
        assert np.isfinite(codec.candidate_costs(env.unwrapped.shop)).tolist() == mask.tolist()
        seen |= {why.partition(" ")[0] for why in whys if why}
        obs, *_, info = env.step(int(rng.choice(np.flatnonzero(mask))))
    assert {"the", "nobody"} <= seen
    assert (
        codec.draw(shop.Shop(4, shop.Shelf(8), shop.Shelf(0), shop.Shelf(48))).count("<rect") == 9
    )
    # By hand: Friday; the van leaves at 12, nothing is missed of shelves that are full.
    full = codec.candidate_costs(shop.Shop(4, shop.Shelf(80), shop.Shelf(90), shop.Shelf(48)))
    kept = 4 * (0.12 * (80 - 52) + 0.04 * (90 - 55) + 0.10 * (48 - 19))
    assert full[0] == pytest.approx(kept, rel=0.01)
    assert np.isnan(full[1:]).all()
    with pytest.raises(InputError, match=r"^cheese\.coming: the shelf has room for 48"):
        codec.look(shop.Shop(4, shop.Shelf(8), shop.Shelf(0), shop.Shelf(48, [1, 0, 0])))


@pytest.mark.usefixtures("brought")
def test_what_it_draws_is_shown_even_without_a_part_of_its_own(capsys, monkeypatch, tmp_path):
    from compagnon.cli import main
    from compagnon.worlds import World, find_world

    kind = type(find_world(ENV_ID))
    monkeypatch.setattr(kind, "report_part", World.report_part)
    page = tmp_path / "page.html"
    words = ["evaluate", "expert:inventory-min-max", "constant:0", "random", "--episodes", "2"]
    assert main([*words, "--report", str(page)]) == 0
    assert "<h3>The month of seed 1000000</h3>" in page.read_text()
    assert page.read_text().count("<title>bread</title>") == 2
    monkeypatch.setattr(kind, "draw_episode", World.draw_episode)
    assert main([*words, "--report", str(page), "--force"]) == 0
    assert "The month of seed" not in page.read_text()
    assert main(["envs", ENV_ID]) == 0
    assert re.search(r"bread_stock +units +0 to 80 +on the shelf", capsys.readouterr().out)


def test_it_is_small_and_touches_nothing_private():
    assert sum(len(path.read_text().splitlines()) for path in FILES) < 400
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("compagnon"):
                names = [node.module, *(one.name for one in node.names)]
                assert not any(part[0] == "_" for name in names for part in name.split("."))
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                own = isinstance(node.value, ast.Name) and node.value.id == "self"
                assert own or node.attr == "__init__", f"{path.name}:{node.lineno}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package installed into a folder of its own, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(HOME, folder / "source")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
            "--no-build-isolation", "--target", str(folder / "site"), str(folder / "source"),
        ],
        check=True,
        timeout=240,
    )  # fmt: skip
    return folder / "site"


def run(words: list[str]) -> str:
    process = start(*words, *SHORT.get(words[0], []))
    shown, _ = process.communicate(timeout=280)
    assert process.returncode == 0, f"{words}\n{shown}"
    return shown


def ask(address: str, **body) -> dict[str, object]:
    request = urllib.request.Request(
        f"{address}/v1/decide", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as found:
        read: dict[str, object] = json.load(found)
    return read


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_whole_journey_of_its_page(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = {}
    for command in COMMANDS:
        if command[:1] != ["compagnon"] or command[1] == "serve":
            continue
        if command[1] == "log":  # what was served stands in the log by then
            shown["served"] = serve_episodes(monkeypatch, tmp_path)
        shown[command[1]] = run(command[1:])
    wanted = ["evaluate", "learn", "report", "export", "served", "log", "play"]
    assert list(shown) == wanted
    page = (tmp_path / "runs" / "inventory" / "report.html").read_text()
    assert "<h3>The shelves</h3>" in page
    assert page.count("the shelves in the month of seed") >= 2
    assert "stock held" in page
    decided = 28 * EPISODES + 1
    assert f"{decided} decisions made again, {decided} the same bit for bit" in shown["log"]
    assert "inventory, seed 1000000" in shown["play"] or "nothing was played" in shown["play"]
    assert "inventory " in run(["recipes"])
    assert ENV_ID in run(["envs"])
    assert "bread_on_order" in run(["envs", ENV_ID])


def serve_episodes(monkeypatch, folder: Path) -> list[float]:
    """The profits of episodes that were played by states over HTTP: those of `evaluate`."""
    run(["evaluate", "onnx:runs/inventory", "--json", "e.json"])
    reported = json.loads((folder / "e.json").read_text())["policies"][0]["per_episode"]
    monkeypatch.syspath_prepend(str(SOURCE))
    from inventory.env import InventoryEnv

    profits = []
    env = InventoryEnv()
    with serving("runs/inventory") as process:
        for seed in range(1_000_000, 1_000_000 + EPISODES):
            env.reset(seed=seed)
            over = False
            while not over:
                state = dataclasses.asdict(env.shop)
                answer = ask(process.address, state=state)
                *_, over, _, info = env.step(answer["action"])
            profits.append(info["kpis"][0])
        body = next(word for command in COMMANDS for word in command if word.startswith("{"))
        answer = ask(process.address, **json.loads(body))
        assert answer["id"] == "friday-1"
        whys = [one["why"] for one in answer["reasons"] if not one["possible"]]
        assert "nobody takes orders of cheese on a Friday" in whys
        assert None not in whys
        assert process.end() == 0
    assert profits == reported["kpis"]["profit"][:EPISODES]
    return profits


@pytest.mark.full
def test_the_same_from_python(site, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(plugins.__file__).parents[1]}:{site}")
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=280, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "expert:inventory-min-max" in done.stdout
    assert (tmp_path / "shop-policy" / "policy.json").is_file()
