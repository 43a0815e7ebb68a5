"""A rule that decides in service, as a model does: it says what it does, and leaves no chance."""

import hashlib
from importlib.metadata import version
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy import Policy, Schema
from compagnon.policy.action_selection import PolicyOutput, output_of_rule
from compagnon.policy.loading import load_policy
from compagnon.policy.protocol import DayReader
from compagnon.policy.vector_action_selection import VectorsSaid

PREFIX: Final = "expert:"


class RuleModel:
    """A rule of a world, or one's own, as what decides for an arm.

    Args:
        name: ``expert:NAME`` or ``expert:FILE.py:CLASS``.
        schema: that it reads and chooses by.

    Attributes:
        sha256: of its name, the schema and the version of this package: the log names it by that.

    Raises:
        InputError: there is no such rule, it plays no such schema, or it reads the running
            episode, which a service does not have.
    """

    def __init__(self, name: str, schema: Schema) -> None:
        self.name = name
        self.policy: Policy = load_policy(name, schema)
        if isinstance(self.policy, DayReader):
            raise InputError(f"{name} reads the running episode; a service sees observations only")
        if schema.action.kind != "discrete":
            raise InputError(f"{name}: rules decide among several actions, and give no vectors")
        known = "\n".join(("rule", name, schema.sha256(), version("compagnon")))
        self.sha256 = hashlib.sha256(known.encode()).hexdigest()

    def say(self, obs: NDArray[np.float32], mask: NDArray[np.bool_]) -> PolicyOutput:
        """See `output_of_rule`."""
        return output_of_rule(self.policy, obs, mask)

    def say_vectors(self, obs: NDArray[np.float32]) -> VectorsSaid:  # noqa: ARG002
        """Refused: rules give no vectors.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.name} gives no vectors")
