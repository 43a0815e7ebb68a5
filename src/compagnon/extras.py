"""Which extra brings what the base installation does without, and which one a verb needs.

A verb that needs several packages names the one extra that brings them all, so that nobody installs
one, is refused for the next, and installs again.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Final

from compagnon.errors import InputError
from compagnon.plugins import brought_worlds

_EXTRA_OF: Final = {
    "PIL": "worlds",
    "alembic": "serve",
    "imageio_ffmpeg": "video",
    "msgspec": "serve",
    "numba": "worlds",
    "onnx": "export",
    "onnxruntime": "serve",
    "optuna": "tune",
    "prometheus_client": "serve",
    "psycopg": "serve",
    "pygame": "play",
    "scipy": "worlds",
    "sqlalchemy": "serve",
    "starlette": "serve",
    "tensorboard": "train",
    "torch": "train",
    "uvicorn": "serve",
}
Need = tuple[str, tuple[str, ...]]
_SERVE: Final = ("sqlalchemy", "alembic", "onnxruntime", "msgspec")
# The verbs that cannot do anything without an extra: its name, and packages that tell it is there.
# A verb that is not listed begins with the base installation, and asks for more when it must; those
# of worlds say what they need where they stand.
NEEDS: Final[dict[str, Need]] = {
    "learn": ("train", ("torch", "tensorboard", "numba")),
    "report": ("train", ("torch", "numba")),
    "diagnose": ("train", ("torch", "numba")),
    "tune": ("tune", ("torch", "tensorboard", "numba", "optuna", "sqlalchemy")),
    "search-rule": ("worlds", ("numba",)),
    "demo": ("demo", ("torch", "tensorboard", "numba", "onnx", *_SERVE, "uvicorn", "starlette")),
    "export": ("export", ("torch", "onnx", "onnxruntime")),
    "bench": ("export", ("torch", "onnx", "onnxruntime")),
    "watch": ("worlds", ("numba", "scipy", "PIL")),
    "play": ("play", ("pygame", "numba", "PIL")),
    "serve": ("serve", (*_SERVE, "uvicorn", "starlette")),
    "log": ("serve", _SERVE),
    "db": ("serve", _SERVE),
    "keys": ("serve", _SERVE),
    "outcomes": ("serve", _SERVE),
    "slices": ("serve", _SERVE),
    "ope": ("serve", _SERVE),
    "operate": ("serve", (*_SERVE, "uvicorn", "starlette")),
    "experiment": ("serve", _SERVE),
    "registry": ("serve", _SERVE),
}


def extra_of(package: str) -> str | None:
    """The extra that brings a package which is imported as that; None where none does."""
    for world, _ in brought_worlds():
        if package in world.extras:
            return str(world.extras[package])
    return _EXTRA_OF.get(package)


def require(verb: str, needs: Mapping[str, Need] = NEEDS) -> None:
    """Refuse a verb whose extra is not installed, before anything is imported for it.

    Raises:
        InputError: names the verb, the first package that is missing, and what to install.
    """
    for name in (verb, verb.partition(" ")[0]):
        extra, packages = needs.get(name, ("", ()))
        missing = [one for one in packages if importlib.util.find_spec(one) is None]
        if missing:
            raise InputError(f"{verb} needs {missing[0]}: {pip(extra)}")


def advice(words: Sequence[str], package: str, needs: Mapping[str, Need] = NEEDS) -> str | None:
    """What to install for a package that a command missed; None for one that no extra brings."""
    usual = extra_of(package)
    if usual is None:
        return None
    own = needs.get(" ".join(words[:2])) or needs.get(next(iter(words), ""))
    extra = own[0] if own is not None and package in own[1] else usual
    return f"this needs {package}: {pip(extra)}"


def pip(extra: str) -> str:
    """The line that installs an extra."""
    return f"pip install 'compagnon[{extra}]'"
