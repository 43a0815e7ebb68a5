"""From a world's name to a game in a window: what must be installed, made and bound before it."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium

from compagnon.envs import BatchEnv, make, make_adapted
from compagnon.errors import InputError
from compagnon.play.session import Agent, Session, check_agent_sees
from compagnon.policy import Schema, load_policy
from compagnon.policy.loading import recorded_env
from compagnon.worlds.game import Game


def open_session(
    world: Game,
    seed: int,
    agent: str | None = None,
    env_args: Mapping[str, Any] | None = None,
    episodes: int | None = None,
    at_once: bool = False,
) -> Session:
    """A game that is ready to be played.

    Args:
        agent: any name that `load_policy` takes. A trained one brings the environment that it
            learnt in, options and all.
        env_args: change single options of the environment.
        episodes, at_once: see `Session`.

    Raises:
        InputError: no such policy, one that cannot play this world, or an option that the world
            does not take.
    """
    env_id, args = _where(world, agent, {} if env_args is None else env_args)
    env = _made(env_id, {**args, "render_mode": "rgb_array"})
    controls = world.controls_for(env.action_space)
    shown = None
    if agent is not None:
        check_agent_sees(world, env)
        policy = load_policy(agent, Schema.of(BatchEnv(env_id, args, 1)))
        shown = Agent(policy, _made(env_id, args))
    return Session(world, env, controls, seed, shown, episodes, at_once)


def _made(env_id: str, args: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """The environment as policies see it; one that shows pictures as its author wrote it."""
    try:
        return make_adapted(env_id, **args)
    except InputError:
        return make(env_id, **args)


def _where(world: Game, agent: str | None, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The environment and its arguments: the world's, then the agent's, then those given."""
    if "render_mode" in given:
        raise InputError("render_mode is not yours to choose here: the window needs its own")
    recorded = None if agent is None else recorded_env(agent)
    if recorded is None:
        return world.env_id, {**world.env_args, **given}
    env_id, args = recorded
    if env_id not in (world.env_id, *world.relatives):
        raise InputError(
            f"{agent} learnt in {env_id}, and {world.name} is {world.env_id}: "
            "show a policy that learnt there"
        )
    return env_id, {**world.env_args, **args, **given}


def prepare(world: Game) -> None:
    """Refuse to play where a package or a screen is missing, before anything is made.

    Raises:
        InputError: names the package and what installs it, or says that there is no screen (and
            none was asked for by SDL_VIDEODRIVER).
    """
    # Or pygame says hello on stdout, and its sound, which nobody uses, complains on stderr.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    for package in ("pygame", *world.needs):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"playing {world.name} needs the package {package}: pip install 'compagnon[play]'"
            )
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
    if sys.platform.startswith("linux") and not named:
        raise no_screen("neither DISPLAY nor WAYLAND_DISPLAY is set")


def no_screen(reason: str) -> InputError:
    """What to raise where no window can be opened."""
    return InputError(
        f"there is no screen to play on ({reason}): play at a desktop, or set "
        "SDL_VIDEODRIVER=dummy to run without one"
    )
