"""From a name on the command line to a policy: `random`, `expert:...`, `onnx:...`, or a path."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from compagnon.errors import InputError
from compagnon.extras import extra_of
from compagnon.plugins import brought_worlds
from compagnon.policy.artefact import MANIFEST_FILE, load_artefact, load_manifest
from compagnon.policy.basic import ConstantPolicy, random_policy
from compagnon.policy.exported import Precision
from compagnon.policy.manifest import Manifest
from compagnon.policy.onnx_policy import load_onnx
from compagnon.policy.protocol import Policy
from compagnon.policy.rules import load_rule, names_a_rule
from compagnon.policy.schema import Schema

EXPERTS_GROUP = "compagnon.experts"
BEST = "best"
OBJECT = "python:"  # before the name of what a Python program holds, and no file
DECISIONS = "file:"  # before the path of recorded decisions, which can be imitated, and not played
IN_MEMORY = f"{DECISIONS}(in memory)"  # those that a Python program holds
# ``onnx:PATH`` is what was exported from the artefact at PATH, in the precision given here.
ONNX_KINDS: dict[str, Precision] = {"onnx": "fp32", "onnx-int8": "int8"}

ExpertFactory = Callable[[Schema, str | None], Policy]


class ExpertPoint(NamedTuple):
    """Where an expert stands: its name, ``module:factory``, and the package that brings it."""

    name: str
    value: str
    package: str | None

    def load(self) -> ExpertFactory:
        """The expert, whose package may be of anybody.

        Raises:
            InputError: it cannot be imported; names the package that brings it, and why.
        """
        try:
            factory: ExpertFactory = EntryPoint(self.name, self.value, EXPERTS_GROUP).load()
        except ModuleNotFoundError as error:
            if extra_of((error.name or "").partition(".")[0]) is not None:
                raise  # whoever runs this says what to install
            raise self._unusable(error) from None
        except Exception as error:  # another package's code: anything may be wrong with it
            raise self._unusable(error) from None
        return factory

    def _unusable(self, error: Exception) -> InputError:
        owner = "another package" if self.package is None else f"the package {self.package}"
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return InputError(f"expert:{self.name} of {owner} cannot be loaded ({reason})")


def expert_points() -> dict[str, ExpertPoint]:
    """The experts that are installed, by name: those of worlds, and entry points of their group."""
    found = {
        name: ExpertPoint(name, value, package)
        for world, package in brought_worlds()
        for name, value in world.experts().items()
    }
    for point in entry_points(group=EXPERTS_GROUP):
        package = None if point.dist is None else point.dist.name
        found.setdefault(point.name, ExpertPoint(point.name, point.value, package))
    return dict(sorted(found.items()))


def artefact_directory(path: Path) -> Path:
    """The artefact that a path means: itself, or the best policy of the run it is.

    Raises:
        InputError: neither is there.
    """
    for candidate in (path, path / BEST):
        if (candidate / MANIFEST_FILE).is_file():
            return candidate
    if not path.exists():
        raise InputError(f"no policy is called {path}: it is no known name and no such path exists")
    raise InputError(f"{path} holds neither {MANIFEST_FILE} (a policy) nor {BEST}/ (a run)")


def recorded_manifest(name: str) -> Manifest | None:
    """What a trained policy, by its path, says of itself; None for other policies.

    Raises:
        InputError: a path that holds no policy, or a damaged one.
    """
    kind, _, rest = name.partition(":")
    if name == "random" or kind in ("constant", "expert") or not is_played(name):
        return None
    if kind in ONNX_KINDS:
        return load_manifest(artefact_directory(Path(rest)))
    return load_artefact(artefact_directory(Path(name))).manifest


def recorded_env(name: str) -> tuple[str, dict[str, Any]] | None:
    """The environment that a trained policy learnt in, and its arguments; None for other policies.

    Raises:
        InputError: see `recorded_manifest`.
    """
    manifest = recorded_manifest(name)
    if manifest is None:
        return None
    return manifest.schema_.env_id, dict(manifest.provenance.env_args)


def is_played(name: str) -> bool:
    """Whether a name is one that `load_policy` may find: no object, and no recorded decisions."""
    return not name.startswith((OBJECT, DECISIONS))


def load_policy(name: str, schema: Schema) -> Policy:
    """The policy called `name`, reading observations of `schema`.

    Args:
        name: ``random``, ``constant:ACTION``, ``expert:NAME`` or ``expert:NAME:ARGUMENT``, a rule
            of one's own as ``expert:FILE.py:CLASS`` or ``expert:MODULE:CLASS``, or the path of an
            artefact or of a run (whose best policy is meant); with ``onnx:`` or
            ``onnx-int8:`` before the path, what was exported from it.

    Raises:
        InputError: no such policy, or one that cannot act in an environment of this schema.
    """
    kind, _, rest = name.partition(":")
    if not is_played(name):
        what = "was an object of a Python program; give it again there"
        if name.startswith(DECISIONS):
            what = "recorded decisions can be imitated (algorithm.expert), and not played"
        raise InputError(f"policy {name!r}: {what}")
    if name == "random":
        return random_policy(schema)
    if kind == "constant":
        if not rest.isdecimal():
            raise InputError(f"policy {name!r}: give an action number, for example constant:0")
        return ConstantPolicy(schema, int(rest))
    if kind == "expert":
        return _load_expert(rest, schema)
    if kind in ONNX_KINDS:
        return load_onnx(artefact_directory(Path(rest)), ONNX_KINDS[kind], name).bind(schema)
    return load_artefact(artefact_directory(Path(name))).bind(schema)


def _load_expert(whole: str, schema: Schema) -> Policy:
    name, _, argument = whole.partition(":")
    points = expert_points()
    if name in points:
        return points[name].load()(schema, argument or None)
    if names_a_rule(whole):
        return load_rule(whole, schema)
    raise InputError(
        f"no expert is called {name!r}; there are {', '.join(points)}, and rules of your "
        "own as expert:FILE.py:CLASS or expert:MODULE:CLASS"
    )
