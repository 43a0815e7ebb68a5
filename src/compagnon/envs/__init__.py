"""Environments: Gymnasium's interface, our own compiled worlds, and batches of any env."""

from compagnon.envs.batch import BatchEnv, Step
from compagnon.envs.field import Field
from compagnon.envs.making import make, make_adapted, make_vec

__all__ = ["BatchEnv", "Field", "Step", "make", "make_adapted", "make_vec"]
