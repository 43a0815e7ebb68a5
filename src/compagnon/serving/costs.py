"""Says what it costs to serve a policy otherwise than it was evaluated, before it is served so.

The policy plays its own recorded environment, greedily and as it would be served, on the same
episodes. What was found is kept beside the policy, so that the next start need not play again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from compagnon.errors import InputError
from compagnon.files import read_file, write_file
from compagnon.policy.loading import artefact_directory
from compagnon.policy.play import GREEDY
from compagnon.serving.models import Model
from compagnon.serving.records import open_records
from compagnon.serving.running import check_place
from compagnon.serving.settings import Settings
from compagnon.serving.sources import source_of
from compagnon.serving.trial import open_tried
from compagnon.store.errors import StoreUnavailable

FILE: Final = "as_served.json"
_MAX_FILE: Final = 1_000_000
_KEPT: Final = 20  # plays of one policy


def cost_words(settings: Settings, say: Callable[[str], object] = lambda _: None) -> str | None:
    """A sentence on what the play of these settings costs; None of greedy play.

    Where it cannot be measured (packages of the world are missing, the environment cannot be made
    here) the sentence says that, and why.

    Args:
        say: is told before anything is played.

    Raises:
        InputError: the policy, the database or the address cannot be used; nothing was said then.
    """
    if settings.play == GREEDY and not settings.explore:
        return None
    try:
        model, folder = _model(settings)
        check_place(settings)
    except StoreUnavailable as error:
        raise InputError(str(error)) from None
    return _told(settings, model, folder / FILE, say)


def _model(settings: Settings) -> tuple[Model, Path]:
    """What would be served now, and where its costs are kept."""
    if settings.model_name is None:
        return open_tried(settings.path, settings.precision), artefact_directory(settings.path)
    store = open_records(settings)
    try:
        source = source_of(settings, store)
        model = source.load(source.find())
        # Not among the model's own files, which are never changed.
        return model, store.files / f".{Path(FILE).stem}" / model.sha256
    finally:
        store.close()


def _told(settings: Settings, model: Model, file: Path, say: Callable[[str], object]) -> str:
    from compagnon.evaluation.as_served import SEED, measure_cost, what_differs

    manifest = model.manifest
    play = settings.play_of(manifest.head)
    what, count = what_differs(play), settings.cost_episodes
    if not count:
        return f"what {what} costs was not measured (--cost-episodes 0)"
    env = manifest.schema_.env_id, dict(manifest.provenance.env_args)
    asked = {
        "model": model.sha256, "env": env, "play": play._asdict(), "cap": settings.explore_cap,
        "episodes": count, "seed": SEED, "version": version("compagnon"),
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    kept = _read(file)
    if key in kept:
        return str(kept[key]["words"])
    say(f"measuring what {what} costs: {count:,} episodes of {env[0]}")
    try:
        cost = measure_cost(model.policy, *env, play, settings.explore_cap, count)
    except InputError as error:
        return f"what {what} costs was not measured: {error}"
    except ModuleNotFoundError as error:
        return (
            f"what {what} costs was not measured: {env[0]} needs {error.name} "
            "(pip install 'compagnon[worlds]')"
        )
    except Exception as error:  # whatever somebody's environment may raise
        return f"what {what} costs was not measured: {type(error).__name__}: {error}"
    kept[key] = {**asdict(cost), **asked, "words": cost.words}
    _keep(file, dict(list(kept.items())[-_KEPT:]))
    return cost.words


def _read(file: Path) -> dict[str, Any]:
    """What was measured before; nothing where that cannot be read."""
    try:
        kept = json.loads(read_file(file, _MAX_FILE))
    except (InputError, OSError, ValueError):
        return {}
    good = isinstance(kept, dict) and all(
        isinstance(one, dict) and isinstance(one.get("words"), str) for one in kept.values()
    )
    return kept if good else {}


def _keep(file: Path, kept: dict[str, Any]) -> None:
    """Write it; where that is not possible it is measured again next time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps(kept, indent=1) + "\n")
    except (OSError, InputError):
        pass
