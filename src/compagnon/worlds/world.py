"""What a world brings: the one class that everything a product knows of an environment hangs on."""

import functools
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from markupsafe import Markup

    from compagnon.envs.field import Field
    from compagnon.evaluation.evaluate import Evaluation
    from compagnon.evaluation.labels import WorldLabels
    from compagnon.policy import Policy, Schema
    from compagnon.policy.groups import PairNames
    from compagnon.worlds.codec import StateCodec
    from compagnon.worlds.command import Command, CommandGroup
    from compagnon.worlds.game import Game
    from compagnon.worlds.lookahead import Forks
    from compagnon.worlds.outcomes import Calibrator, OutcomeRule
    from compagnon.worlds.published import PublishedImitation
    from compagnon.worlds.rule_search import RuleSearch


class World:
    """One environment, or one with its close relatives, and all that is known of it.

    A world of your own is a subclass with a `name` and `env_ids`, and an entry point of the group
    ``compagnon.worlds`` whose value is an instance, or a tuple of them::

        [project.entry-points."compagnon.worlds"]
        inventory = "shop.world:INVENTORY"

    Everything else is optional, and what is missing is left out wherever it would be used. Methods
    import what they need when they are called: a world is looked at by programs that have neither
    numba nor torch.

    Attributes:
        name: one word, what people call it on the command line.
        env_ids: Gymnasium's ids; the first is meant where the world is.
        compiled: its copies are stepped together in one kernel: the environments are registered by
            `registration.register_compiled`, and are a `CompiledEnv` and a `CompiledVectorEnv` of
            `envs.compiled` or keep to what these do. What they show is then not checked.
        episode_units: how many time units an episode has at most, where Gymnasium's own limit of
            steps does not say it.
        always_masked: it gave masks before policies recorded whether it does.
        usual: it is what is played where a command names neither a world nor a policy of one.
        imitation_recipe: the recipe whose imitation is looked into where nobody names one.
        demo_recipe: the recipe that shows in a few minutes what learning is worth here.
        pooled: ids that EnvPool serves as Gymnasium does -> how many copies keep a thread of it
            busy; None where one thread is enough for all.
        extras: packages that its parts need -> the extra of this package that brings them.
    """

    name: str
    env_ids: tuple[str, ...]
    compiled: ClassVar[bool] = False
    episode_units: ClassVar[int | None] = None
    always_masked: ClassVar[bool] = False
    usual: ClassVar[bool] = False
    imitation_recipe: ClassVar[str] = ""
    demo_recipe: ClassVar[str] = ""
    pooled: Mapping[str, int | None] = MappingProxyType({})
    extras: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def register(self) -> None:
        """Register the environments with Gymnasium, once; nothing where somebody else does."""

    def experts(self) -> Mapping[str, str]:
        """What follows ``expert:`` -> ``module:factory``, which makes the policy.

        A factory is called with the schema of the environment and with what follows the name, or
        None (`policy.loading.ExpertFactory`).
        """
        return {}

    def recipes(self) -> Mapping[str, str]:
        """Name -> TOML of each recipe that ships with it: those of its folder ``recipes``."""
        return _recipes_of(type(self).__module__.rpartition(".")[0])

    def pair_names(self) -> "PairNames | None":
        """How fields of drivers, places and pairs are called, where a pairwise network fits."""
        return None

    def action_labels(self, schema: "Schema") -> Sequence[str] | None:  # noqa: ARG002
        """What each action means, where it is one of several; None where they have no names."""
        return None

    def action_components(self, schema: "Schema") -> Sequence[tuple[str, str]] | None:  # noqa: ARG002
        """The name and the unit of each number, where an action is a vector."""
        return None

    def state_codec(self, schema: "Schema", env_args: dict[str, Any]) -> "StateCodec[Any] | None":  # noqa: ARG002
        """How states are read for a policy of this schema; None where that cannot be told.

        Args:
            env_args: of the environment that the policy learnt in.
        """
        return None

    def forks(self, schema: "Schema") -> "Forks | None":  # noqa: ARG002
        """How a look-ahead over any policy tries what might come; None where it cannot."""
        return None

    def game(self) -> "Game | None":
        """How a person plays it; None where nobody can."""
        return None

    def labels(self) -> "WorldLabels":
        """What its episodes, reward terms and KPIs are called, and which terms are money."""
        from compagnon.evaluation.labels import WorldLabels

        return WorldLabels()

    def report_part(
        self,
        evaluation: "Evaluation",
        policies: Sequence["Policy"] = (),
        times: bool = True,  # noqa: ARG002
    ) -> "Markup | None":
        """The fragment of a report's page that only this world has; None where it has none.

        By itself the first episode of the first policy and of the last, where it can be drawn.

        Args:
            policies: those of the evaluation, bound to its environment, to be played and timed.
            times: whether decisions are timed.
        """
        from markupsafe import Markup

        shown = [*policies[:1], *policies[1:][-1:]]
        drawn = self.draw_episode(shown, evaluation.env_args, evaluation.seed) if shown else None
        if drawn is None:
            return None
        heading = f"The {self.labels().episode} of seed {evaluation.seed}"
        return Markup('<div class="card"><h3>{}</h3>{}</div>').format(heading, drawn)

    def outcome_rule(self) -> "OutcomeRule | None":
        """How observed outcomes become rewards; None where nobody has said."""
        return None

    def calibrator(self) -> "Calibrator | None":
        """How logs set the simulator; None where they do not."""
        return None

    def draw_episode(
        self,
        policies: Sequence["Policy"],  # noqa: ARG002
        env_args: dict[str, Any],  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> "Markup | None":
        """One episode of each policy, drawn in SVG for a page; None where nobody can draw it."""
        return None

    def commands(self) -> "Mapping[str, Command | CommandGroup]":
        """Its own verbs on the command line, by name."""
        return {}

    def rule_search(self) -> "RuleSearch | None":
        """How the numbers of its rule are found for a setting; None where no rule has any."""
        return None

    def kept_attributes(self) -> Mapping[type, tuple[str, ...]]:
        """Classes of its environments -> what they keep beside `state` and `np_random`.

        Of an environment that is stepped copy by copy, and of which everything that changes while
        it is played is known, so that it can be saved in the middle of an episode.
        """
        return {}

    def fields(self) -> "Sequence[Field]":
        """Every field that it can show, where that is more than one environment shows."""
        return ()

    def observation_sets(self) -> Mapping[str, Sequence[str]]:
        """Names of fields that are usually shown together, by what the option calls them."""
        return {}

    def replay_args(self, recorded: Path) -> dict[str, Any] | None:  # noqa: ARG002
        """Arguments with which its environment plays what a person recorded in a file.

        None where it reads no such files.
        """
        return None

    def data_files(self, env_args: Mapping[str, Any]) -> Mapping[str, Path]:
        """Which of an environment's arguments are files, or folders of files, that it reads.

        A policy that is trained in it keeps their hashes. By itself every argument that is the path
        of a file which is there.
        """
        return {
            name: Path(value)
            for name, value in env_args.items()
            if isinstance(value, str | Path) and _is_file(Path(value))
        }

    def published_imitation(self, recipe: str) -> "PublishedImitation | None":  # noqa: ARG002
        """What others reported of imitating in the set-up of a recipe."""
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for any file
        return False


@functools.cache
def _recipes_of(package: str) -> Mapping[str, str]:
    if not package:  # a module that stands alone has no folder
        return {}
    folder = files(package) / "recipes"
    if not folder.is_dir():
        return {}
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
