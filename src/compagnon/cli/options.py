"""Options that several verbs share: what is played, how much of it, and for how long."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from compagnon.arguments import EnvArgs, Force, Json, Page, flag, optional, read_pairs

PolicyNames = Annotated[
    tuple[str, ...],
    Positional,
    optional(
        "POLICY...",
        "random, constant:ACTION, expert:NAME, expert:FILE.py:CLASS, or a path "
        "(see `compagnon policies`)",
    ),
]
OnePolicy = Annotated[
    str,
    Positional,
    arg(metavar="POLICY", help="a name or a path (see `compagnon policies`)"),
]


@dataclass(frozen=True)
class Where:
    """What is played."""

    env: Annotated[
        str | None,
        optional("ID", "any Gymnasium id, or MODULE:ID; without it, the one a run learnt in"),
    ] = None
    env_args: EnvArgs = ()

    def resolve(self, *policies: str) -> tuple[str, dict[str, Any]]:
        """The environment and its options.

        Without --env it is the one that the first trained policy of `policies` learnt in, options
        and all; --env-args then change single options. Where all are rules, it is that of the world
        that brings the first expert, or else the one that is meant where nobody says.
        """
        given = read_pairs(self.env_args, "--env-args")
        if self.env is not None:
            return self.env, given
        from compagnon.policy.loading import recorded_env

        for policy in policies:
            recorded = recorded_env(policy)
            if recorded is not None:
                return recorded[0], {**recorded[1], **given}
        from compagnon.worlds.registry import usual_env

        return usual_env(policies), given


@dataclass(frozen=True)
class EpisodeOptions:
    """How much is played, and where the figures go."""

    episodes: Annotated[int, arg(metavar="N", help="every policy plays the same N episodes")] = 100
    seed: Annotated[int, arg(metavar="S", help="they have the seeds S to S + N - 1")] = 1_000_000
    sampled: Annotated[bool, flag("draw actions instead of taking the best one")] = False
    backend: Annotated[
        Literal["gymnasium", "processes"],
        arg(help="processes shares a slow simulator's episodes out; the figures are the same"),
    ] = "gymnasium"
    json: Json = None
    report: Page = None
    force: Force = False


def without_window() -> None:
    """Let Gymnasium draw with pygame where there is no screen, and say nothing about it."""
    import os

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
