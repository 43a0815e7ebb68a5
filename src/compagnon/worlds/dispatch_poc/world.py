"""The proof of concept as a world: what the product knows of it, and where each part stands."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.registration import register_compiled
from compagnon.worlds.world import World

if TYPE_CHECKING:
    from compagnon.evaluation.labels import WorldLabels
    from compagnon.policy import Schema
    from compagnon.policy.groups import PairNames
    from compagnon.worlds.command import CommandGroup
    from compagnon.worlds.dispatch_poc.codec import PocCodec

_HERE: Final = "compagnon.worlds.dispatch_poc"


class DispatchPoc(World):
    """The dispatch roadmap's proof of concept: drivers and bookings on a map."""

    name = "dispatch-poc"
    env_ids = (DISPATCH_POC,)
    compiled = True
    always_masked = True

    def experts(self) -> Mapping[str, str]:
        """Its rules and solvers."""
        return {
            "dispatch-poc-nearest": f"{_HERE}.experts:nearest",
            "dispatch-poc-earliest": f"{_HERE}.experts:earliest",
            "dispatch-poc-least-loaded": f"{_HERE}.experts:least_loaded",
            "dispatch-poc-matching": f"{_HERE}.experts:matching",
            "dispatch-poc-random-unmasked": f"{_HERE}.experts:random_unmasked",
            "dispatch-poc-outlook": f"{_HERE}.experts:outlook",
        }

    def register(self) -> None:
        """Register `compagnon/DispatchPOC-v0`."""
        register_compiled(
            DISPATCH_POC, f"{_HERE}.env:DispatchPocEnv", f"{_HERE}.vector:DispatchPocVectorEnv"
        )

    def pair_names(self) -> "PairNames":
        """How fields of drivers, places and pairs are called."""
        from compagnon.worlds.dispatch_poc.pairs import PAIR_NAMES

        return PAIR_NAMES

    def action_labels(self, schema: "Schema") -> Sequence[str]:
        """Wait, then drivers x bookings."""
        from compagnon.worlds.dispatch_poc.pairs import action_labels

        return action_labels(schema.observation.names)

    def state_codec(self, schema: "Schema", env_args: dict[str, Any]) -> "PocCodec | None":
        """Reads boards."""
        from compagnon.worlds.dispatch_poc.codec import poc_codec

        return poc_codec(schema, env_args)

    def commands(self) -> "Mapping[str, CommandGroup]":
        """``dispatch-poc table``: the roadmap's figures."""
        from compagnon.worlds.dispatch_poc.commands import COMMANDS

        return COMMANDS

    def labels(self) -> "WorldLabels":
        """Words for what the roadmap promised."""
        from compagnon.worlds.dispatch_poc.labels import LABELS

        return LABELS


WORLD: Final = DispatchPoc()
