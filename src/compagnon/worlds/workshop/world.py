"""The workshop as a world: what the product knows of it, and where each part stands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from compagnon.worlds.registration import register_compiled
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.world import World

if TYPE_CHECKING:
    from compagnon.envs.field import Field
    from compagnon.evaluation.labels import WorldLabels
    from compagnon.policy import Schema
    from compagnon.worlds.command import Command, CommandGroup
    from compagnon.worlds.game import Game
    from compagnon.worlds.lookahead import Forks
    from compagnon.worlds.published import PublishedImitation
    from compagnon.worlds.rule_search import RuleSearch
    from compagnon.worlds.workshop.codec import ShopCodec

_HERE: Final = "compagnon.worlds.workshop"


class Workshop(World):
    """Two machines, two products, a store and a week of demand."""

    name = "workshop"
    env_ids = (WORKSHOP,)
    compiled = True
    episode_units = 7 * 24 * 60  # minutes
    always_masked = True
    usual = True
    imitation_recipe = "workshop-seed"
    demo_recipe = "workshop-demo"

    def experts(self) -> Mapping[str, str]:
        """Its rules and solvers."""
        return {
            "workshop-v2": f"{_HERE}.experts:workshop_v2",
            "workshop-base-stock": f"{_HERE}.experts:workshop_base_stock",
            "workshop-over-producer": f"{_HERE}.experts:workshop_over_producer",
            "workshop-rollout": f"{_HERE}.experts.rollout:rollout",
        }

    def register(self) -> None:
        """Register `compagnon/Workshop-v0`."""
        register_compiled(WORKSHOP, f"{_HERE}.env:WorkshopEnv", f"{_HERE}.vector:WorkshopVectorEnv")

    def action_labels(self, schema: "Schema") -> Sequence[str]:
        """``make 50 P2 (step 2)``."""
        from compagnon.worlds.workshop.constants import describe_action

        return [describe_action(action) for action in range(schema.action.n)]

    def state_codec(self, schema: "Schema", env_args: dict[str, Any]) -> "ShopCodec":  # noqa: ARG002
        """Reads shops."""
        from compagnon.worlds.workshop.codec import ShopCodec

        return ShopCodec(schema)

    def forks(self, schema: "Schema") -> "Forks":  # noqa: ARG002
        """See `World.forks`."""
        from compagnon.worlds.workshop.experts.rollout import WorkshopForks

        return WorkshopForks()

    def game(self) -> "Game":
        """A week of it, at the desk."""
        from compagnon.worlds.workshop.game import GAME

        return GAME

    def labels(self) -> "WorldLabels":
        """Words, figures, and what of them is money."""
        from compagnon.worlds.workshop.labels import LABELS

        return LABELS

    def commands(self) -> "Mapping[str, Command | CommandGroup]":
        """``order-book``."""
        from compagnon.worlds.workshop.commands import COMMANDS

        return COMMANDS

    def rule_search(self) -> "RuleSearch":
        """The levels of the base-stock rule, for profit."""
        from compagnon.worlds.workshop.experts.search import search_rule

        return search_rule

    def fields(self) -> "Sequence[Field]":
        """All 32, of which an option chooses."""
        from compagnon.worlds.workshop.fields import FIELDS

        return FIELDS

    def observation_sets(self) -> Mapping[str, Sequence[str]]:
        """What the option `observation` calls by one name."""
        from compagnon.worlds.workshop.fields import OBSERVATION_SETS

        return OBSERVATION_SETS

    def replay_args(self, recorded: Path) -> dict[str, Any]:
        """An order book is played as the demand."""
        return {"demand": str(recorded)}

    def data_files(self, env_args: Mapping[str, Any]) -> Mapping[str, Path]:
        """The order book, where demand is none of the presets."""
        from compagnon.worlds.workshop.options import DEMAND_FACTORS

        demand = env_args.get("demand")
        return {} if demand is None or demand in DEMAND_FACTORS else {"demand": Path(demand)}

    def published_imitation(self, recipe: str) -> "PublishedImitation | None":
        """The curves that were published with the imitation of the workshop's rule."""
        from compagnon.worlds.published import PublishedImitation

        if recipe != self.imitation_recipe:
            return None
        losses = ((5.2627, 5.1704, 5.0473), (4.9572, 4.6194, 4.1639))
        return PublishedImitation(losses, (-6309.72, -5934.70), 12729.30)


WORLD: Final = Workshop()
