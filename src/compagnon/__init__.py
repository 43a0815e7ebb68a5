"""Compagnon: learned decisions in operations, from an expert's rule to a policy in production.

``import compagnon as cp`` brings names and nothing else: what a name stands for is imported when it
is first asked for, so that a program that only decides needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from compagnon.plugins import own_worlds
from compagnon.version import __version__ as __version__

if TYPE_CHECKING:
    from compagnon.api.algorithms import DDPG, DQN, PPO, DAgger, ExpertIteration, Hybrid
    from compagnon.api.envs import make, schema_of
    from compagnon.api.evaluating import evaluate
    from compagnon.api.learners import Learner
    from compagnon.api.policies import export, from_onnx, from_sb3, load_policy
    from compagnon.api.running import resume, run
    from compagnon.errors import InputError
    from compagnon.evaluation.evaluate import Evaluation
    from compagnon.policy.bound import BoundPolicy
    from compagnon.policy.schema import Schema
    from compagnon.rl.buffers.demonstrations import Demonstrations
    from compagnon.rl.callbacks import (
        Callback,
        IterationInfo,
        StopLearning,
        StopOnPlateau,
    )
    from compagnon.rl.recipe import Recipe, load_recipe
    from compagnon.rl.trainer import TrainingError

__all__ = [
    "DDPG",
    "DQN",
    "PPO",
    "BoundPolicy",
    "Callback",
    "DAgger",
    "Demonstrations",
    "Evaluation",
    "ExpertIteration",
    "Hybrid",
    "InputError",
    "IterationInfo",
    "Learner",
    "Recipe",
    "Schema",
    "StopLearning",
    "StopOnPlateau",
    "TrainingError",
    "evaluate",
    "export",
    "from_onnx",
    "from_sb3",
    "load_policy",
    "load_recipe",
    "make",
    "resume",
    "run",
    "schema_of",
]

_HOMES: Final = {
    "compagnon.api.algorithms": ("DDPG", "DQN", "PPO", "DAgger", "ExpertIteration", "Hybrid"),
    "compagnon.api.envs": ("make", "schema_of"),
    "compagnon.api.evaluating": ("evaluate",),
    "compagnon.api.learners": ("Learner",),
    "compagnon.api.policies": ("export", "from_onnx", "from_sb3", "load_policy"),
    "compagnon.api.running": ("resume", "run"),
    "compagnon.errors": ("InputError",),
    "compagnon.evaluation.evaluate": ("Evaluation",),
    "compagnon.rl.callbacks": ("Callback", "IterationInfo", "StopLearning", "StopOnPlateau"),
    "compagnon.rl.buffers.demonstrations": ("Demonstrations",),
    "compagnon.rl.recipe": ("Recipe", "load_recipe"),
    "compagnon.rl.trainer": ("TrainingError",),
    "compagnon.policy.bound": ("BoundPolicy",),
    "compagnon.policy.schema": ("Schema",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """What a public name stands for, imported now."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'compagnon' has no attribute {name!r}")
    try:
        found = getattr(import_module(_HOME_OF[name]), name)
    except ModuleNotFoundError as error:
        from compagnon.extras import extra_of, pip

        extra = extra_of((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise ImportError(
            f"compagnon.{name} needs {error.name}: {pip(extra)}", name=error.name
        ) from None
    globals()[name] = found  # the next time it is there
    return found


def __dir__() -> list[str]:
    """The public names, those that nobody has asked for yet included."""
    return sorted({*globals(), *__all__})


for _world in own_worlds():  # so that `gymnasium.make` knows our environments
    _world.register()
