"""Compagnon: learned decisions in operations, from an expert's rule to a policy in production."""

from compagnon.envs.registration import register_all

__version__ = "0.1.0"

register_all()
