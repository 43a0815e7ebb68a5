"""Compagnon: learned decisions in operations, from an expert's rule to a policy in production."""

from compagnon.plugins import own_worlds

__version__ = "0.1.0"

for _world in own_worlds():  # so that `gymnasium.make` knows our environments
    _world.register()
