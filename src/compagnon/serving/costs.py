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
from compagnon.policy.action_selection import COST_SEED, GREEDY, what_differs
from compagnon.policy.loading import artefact_directory
from compagnon.serving.inference import Model
from compagnon.serving.model_source import source_of
from compagnon.serving.repository import open_service_store
from compagnon.serving.server import check_place
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.trial import open_tried
from compagnon.store import Store
from compagnon.store.errors import StoreUnavailable

FILE: Final = "as_served.json"
_MAX_FILE: Final = 1_000_000
_KEPT: Final = 20  # plays of one policy


def cost_words(
    settings: ServiceSettings, say: Callable[[str], object] = lambda _: None
) -> str | None:
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
        model, file = _model(settings)
        check_place(settings)
    except StoreUnavailable as error:
        raise InputError(str(error)) from None
    return measured_words(settings, model, file, say)


def _model(settings: ServiceSettings) -> tuple[Model, Path]:
    """What would be served now, and the file in which its costs are kept."""
    if settings.model_name is None:
        model = open_tried(settings.path, settings.precision)
        return model, artefact_directory(settings.path) / FILE
    store = open_service_store(settings)
    try:
        source = source_of(settings, store)
        model = source.load(source.find())
        return model, place_of(settings, store, model)
    finally:
        store.close()


def place_of(settings: ServiceSettings, store: Store, model: Model) -> Path:
    """The file in which the costs of a model in service are kept."""
    if settings.model_name is None:
        return artefact_directory(settings.path) / FILE
    # Not among the model's own files, which are never changed.
    return store.files / f".{Path(FILE).stem}" / model.sha256 / FILE


def measured_words(
    settings: ServiceSettings,
    model: Model,
    file: Path,
    say: Callable[[str], object] = lambda _: None,
) -> str:
    """A sentence on what the play of a model costs: as it was kept in `file`, or measured now."""
    from compagnon.evaluation.as_served import measure_cost

    kept = kept_words(settings, model, file)
    if kept is not None:
        return kept
    asked = _asked(settings, model)
    play = settings.play_of(model.manifest.head)
    what, count = what_differs(play), settings.cost_episodes
    env_id, env_args = asked["env"]
    say(f"measuring what {what} costs: {count:,} episodes of {env_id}")
    try:
        cost = measure_cost(model.policy, env_id, env_args, play, settings.explore_cap, count)
    except InputError as error:
        return unmeasured(settings, model, str(error))
    except ModuleNotFoundError as error:
        needs = f"{env_id} needs {error.name} (pip install 'compagnon[worlds]')"
        return unmeasured(settings, model, needs)
    except Exception as error:  # whatever somebody's environment may raise
        return unmeasured(settings, model, f"{type(error).__name__}: {error}")
    everything = {**_read(file), _key(asked): {**asdict(cost), **asked, "words": cost.words}}
    _keep(file, dict(list(everything.items())[-_KEPT:]))
    return cost.words


def kept_words(settings: ServiceSettings, model: Model, file: Path) -> str | None:
    """What was found before of this play of a model, or that it is not to be measured.

    Args:
        file: where it would be kept, see `place_of`.
    """
    if not settings.cost_episodes:
        what = what_is_asked(settings, model)
        return f"what {what} costs was not measured (--cost-episodes 0)"
    found = _read(file).get(_key(_asked(settings, model)))
    return None if found is None else str(found["words"])


def what_is_asked(settings: ServiceSettings, model: Model) -> str:
    """``exploring 5 % of the decisions``."""
    return what_differs(settings.play_of(model.manifest.head))


def unmeasured(settings: ServiceSettings, model: Model, why: str) -> str:
    """A sentence that says why there is no figure."""
    return f"what {what_is_asked(settings, model)} costs was not measured: {why}"


def _asked(settings: ServiceSettings, model: Model) -> dict[str, Any]:
    """Everything that the figure depends on."""
    manifest = model.manifest
    return {
        "model": model.sha256,
        "env": (manifest.schema_.env_id, dict(manifest.provenance.env_args)),
        "play": settings.play_of(manifest.head)._asdict(),
        "cap": settings.explore_cap,
        "episodes": settings.cost_episodes,
        "seed": COST_SEED,
        "version": version("compagnon"),
    }


def _key(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


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
