"""`play`: a person plays a world in a window, with a policy's choice beside theirs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, EnvArgs, Force, check_seed, optional, read_pairs
from compagnon.errors import InputError


@dataclass(frozen=True)
class GameOptions:
    """Which episodes, beside whom, and how fast."""

    show_agent: Annotated[
        str | None, optional("POLICY", "show its choice and its score (see `compagnon policies`)")
    ] = None
    seed: Annotated[int, arg(metavar="S", help="the first episode; the next one has S + 1")] = (
        1_000_000
    )
    episodes: Annotated[int | None, optional("N", "play so many, rather than until you leave")] = (
        None
    )
    speed: Annotated[float, arg(metavar="M", help="of time; 0.5 is half as fast")] = 1.0
    env_args: EnvArgs = ()
    frames: Annotated[int | None, optional("N", "begin at once, and leave after N frames")] = None
    screenshot: Annotated[Path | None, optional("FILE.png", "write the last frame")] = None
    force: Force = False


def play(
    world: Annotated[
        str,
        Positional,
        arg(metavar="WORLD", help="its name; one that there is not lists them all"),
    ],
    /,
    game: GameOptions,
) -> int:
    """Play a world yourself, with a, s, d, w or the arrows, beside a policy.

    $ compagnon play mountain
    $ compagnon play workshop --show-agent expert:workshop-v2
    """
    output.claim(game.force, game.screenshot, text=False)
    from compagnon.play.games import find_game
    from compagnon.play.opening import open_session, prepare

    chosen = find_game(world)
    for name, value in (("episodes", game.episodes), ("frames", game.frames)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: at least 1")
    if not 0.1 <= game.speed <= 100:
        raise InputError(f"--speed {game.speed:g}: 0.1 to 100")
    check_seed(game.seed)
    env_args = read_pairs(game.env_args, "--env-args")
    prepare(chosen)
    session = open_session(
        chosen, game.seed, game.show_agent, env_args, game.episodes, game.frames is not None
    )
    from compagnon.play.window import show  # only now: it needs pygame

    show(session, game.speed, game.frames, game.screenshot)
    _print_summary(session)
    if game.screenshot is not None:
        output.console().print(f"wrote {game.screenshot}", soft_wrap=True)
    return 0


def _print_summary(session: Any) -> None:
    """One line an episode, and the means of those that came to their end."""
    out = output.console()
    name = session.world.name
    if not session.results:
        out.print(f"{name}: nothing was played")
        return
    agent = None if session.agent is None else session.agent.policy.name
    for played in session.results:
        out.print(_line(name, agent, played), soft_wrap=True)
    ended = [played for played in session.results if played.ended]
    if len(ended) > 1:
        mean = sum(played.score for played in ended) / len(ended)
        text = f"mean of {len(ended)} whole episodes: you {output.number(mean)}"
        if agent is not None:
            theirs = sum(played.agent_score for played in ended) / len(ended)
            text += f", {agent} {output.number(theirs)}"
        out.print(text, soft_wrap=True)


def _line(name: str, agent: str | None, played: Any) -> str:
    end = "" if played.ended else " (you left)"
    text = f"{name}, seed {played.seed}: you {output.number(played.score)}"
    text += f" after {played.steps:,} steps{end}"
    if agent is None:
        return text
    same = "on the same seed" if played.ended else "in the same time"
    return (
        f"{text}; {agent} {output.number(played.agent_score)} after {played.agent_steps:,} {same}; "
        f"agreement {played.likeness:.0%}"
    )


COMMANDS: dict[str, CommandFunction] = {"play": play}
