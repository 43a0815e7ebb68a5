"""Dispatch as a world: what the product knows of it, and where each part stands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.registration import register_compiled
from compagnon.worlds.world import World

if TYPE_CHECKING:
    from markupsafe import Markup

    from compagnon.evaluation.evaluate import Evaluation
    from compagnon.evaluation.labels import WorldLabels
    from compagnon.policy import Policy, Schema
    from compagnon.policy.groups import PairNames
    from compagnon.worlds.command import CommandGroup
    from compagnon.worlds.dispatch.codec import BoardCodec
    from compagnon.worlds.lookahead import Forks
    from compagnon.worlds.rule_search import RuleSearch

_HERE: Final = "compagnon.worlds.dispatch"


class Dispatch(World):
    """A fleet's day: bookings that come in, drivers who take them, windows to keep."""

    name = "dispatch"
    env_ids = (DISPATCH,)
    compiled = True
    always_masked = True
    extras = MappingProxyType({"openpyxl": "xlsx", "ortools": "dispatch"})

    def experts(self) -> Mapping[str, str]:
        """Its rules and solvers."""
        return {
            "dispatch-nearest": f"{_HERE}.experts:nearest",
            "dispatch-earliest": f"{_HERE}.experts:earliest",
            "dispatch-least-loaded": f"{_HERE}.experts:least_loaded",
            "dispatch-matching": f"{_HERE}.experts:matching",
            "dispatch-insertion": f"{_HERE}.experts:insertion",
            "dispatch-regret": f"{_HERE}.experts:regret",
            "dispatch-ortools": f"{_HERE}.experts:ortools",
            "dispatch-alns": f"{_HERE}.experts.planner:alns",
            "dispatch-clairvoyant": f"{_HERE}.experts.clairvoyant:clairvoyant",
            "dispatch-rollout": f"{_HERE}.experts.rollout:rollout",
        }

    def register(self) -> None:
        """Register `compagnon/Dispatch-v1`."""
        register_compiled(DISPATCH, f"{_HERE}.env:DispatchEnv", f"{_HERE}.vector:DispatchVectorEnv")

    def pair_names(self) -> "PairNames":
        """How fields of drivers, places and pairs are called."""
        from compagnon.worlds.dispatch.pairs import PAIR_NAMES

        return PAIR_NAMES

    def action_labels(self, schema: "Schema") -> Sequence[str]:
        """Wait, then drivers x places, then one refusal a place."""
        from compagnon.worlds.dispatch.pairs import action_labels

        return action_labels(schema.observation.names)

    def state_codec(self, schema: "Schema", env_args: dict[str, Any]) -> "BoardCodec | None":
        """Reads boards."""
        from compagnon.worlds.dispatch.codec import board_codec

        return board_codec(schema, env_args)

    def forks(self, schema: "Schema") -> "Forks":
        """See `World.forks`."""
        from compagnon.worlds.dispatch.experts.rollout import DispatchForks

        return DispatchForks(schema)

    def labels(self) -> "WorldLabels":
        """Words, figures, and what of them is money."""
        from compagnon.worlds.dispatch.labels import LABELS

        return LABELS

    def report_part(
        self, evaluation: "Evaluation", policies: Sequence["Policy"] = (), times: bool = True
    ) -> "Markup":
        """Scorecard, time to decide, and a day on the map."""
        from compagnon.worlds.dispatch.report.page import report_part

        return report_part(evaluation, policies, times)

    def draw_episode(
        self, policies: Sequence["Policy"], env_args: dict[str, Any], seed: int
    ) -> "Markup":
        """The day of each policy on a map, side by side, moved by one clock."""
        from compagnon.worlds.dispatch.report.page import draw_episode

        return draw_episode(policies, env_args, seed)

    def data_files(self, env_args: Mapping[str, Any]) -> Mapping[str, Path]:
        """The days that are replayed."""
        days = env_args.get("days")
        return {"days": Path(days)} if days else {}

    def rule_search(self) -> "RuleSearch":
        """The numbers of the regret rule, for the least cost."""
        from compagnon.worlds.dispatch.experts.search import search_rule

        return search_rule

    def commands(self) -> "Mapping[str, CommandGroup]":
        """``data``: days from a real fleet."""
        from compagnon.worlds.dispatch.commands import COMMANDS

        return COMMANDS


WORLD: Final = Dispatch()
