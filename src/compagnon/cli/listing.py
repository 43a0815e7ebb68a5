"""`recipes`, `envs`, `policies`: what there is, so that nobody has to read the source for it."""

import difflib
import re
import tomllib
from typing import Annotated, Any

from tyro.conf import Positional

from compagnon import output
from compagnon.arguments import CommandFunction, EnvArgs, optional, read_pairs
from compagnon.errors import InputError
from compagnon.extras import extra_of, pip
from compagnon.worlds import World, find_world, worlds
from compagnon.worlds.registry import recipe_texts


def recipes(
    name: Annotated[str | None, Positional, optional("[NAME]", "print this one")] = None,
    /,
) -> int:
    """List the recipes that ship, or print one as TOML, to start your own from.

    $ compagnon recipes
    $ compagnon recipes workshop-tight > mine.toml
    """
    found = recipe_texts()
    out = output.console()
    if name is not None:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(found)}"
            raise InputError(f"no recipe is called {name!r}; {hint}")
        print(found[name], end="")
        return 0
    rows = [(name, str(tomllib.loads(text).get("description", ""))) for name, text in found.items()]
    out.print(output.table(("recipe", "what it does"), rows, numbers=False))
    return 0


def envs(
    env: Annotated[
        str | None, Positional, optional("[ID]", "any Gymnasium id, or MODULE:ID")
    ] = None,
    /,
    env_args: EnvArgs = (),
) -> int:
    """List the worlds' environments, or show the options and observation fields of one.

    $ compagnon envs compagnon/Workshop-v0
    $ compagnon envs CartPole-v1
    """
    out = output.console()
    if env is None:
        out.print(output.table(("environment", "what it is"), _our_envs(), numbers=False))
        out.print(
            "\nAny other Gymnasium id works too, and MODULE:ID where a module registers it."
            "\nYour own, step by step: docs/own_environment.md"
        )
        return 0
    from compagnon.envs import BatchEnv

    batch = BatchEnv(env, read_pairs(env_args, "--env-args"), 1)
    out.print(f"{env}\n\nactions: {batch.action_space}")
    options = getattr(batch.vec, "options", None)
    if options is not None:
        out.print("\nOptions (--env-args NAME=VALUE ...)\n")
        out.print(output.table(("option", "default", "meaning"), _options(options), numbers=False))
    out.print("\nObservation fields\n")
    world = find_world(env)
    if world.fields():
        columns: tuple[str, ...] = ("field", "unit", "range", "in", "meaning")
        rows = _field_rows(world)
    elif any(f.unit for f in batch.fields):
        columns = ("field", "unit", "range", "meaning")
        rows = [(f.name, f.unit, _range(f.low, f.high), f.meaning) for f in batch.fields]
    else:
        columns = ("field", "range", "meaning")
        rows = [(f.name, _range(f.low, f.high), f.meaning) for f in batch.fields]
    out.print(output.table(columns, rows, numbers=False))
    return 0


def _our_envs() -> list[tuple[str, str]]:
    import gymnasium

    from compagnon.envs.finding import load_plugins

    load_plugins()
    rows = []
    for env_id in sorted({env_id for world in worlds() for env_id in world.env_ids}):
        spec = gymnasium.registry.get(env_id)
        entry = "" if spec is None else str(spec.entry_point)
        if entry and not entry.startswith("gymnasium."):
            # The module says what it is; importing it would compile the kernel's signatures.
            rows.append((env_id, _first_sentence_of_module(entry.partition(":")[0])))
    return rows


def _first_sentence_of_module(module: str) -> str:
    import ast
    import importlib.util

    found = importlib.util.find_spec(module)
    source = found.loader.get_source(module) if found and found.loader else None  # type: ignore[attr-defined]
    sentence = (ast.get_docstring(ast.parse(source or "")) or "").partition("\n")[0]
    return re.sub(r"^`[^`]*`:\s*", "", sentence).rstrip(".")


def _options(options: Any) -> list[tuple[str, str, str]]:
    fields = type(options).model_fields.items()
    return [
        (name, _default(field.default), (field.description or "").replace("`", ""))
        for name, field in fields
    ]


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _field_rows(world: World) -> list[tuple[str, ...]]:
    def sets(name: str) -> str:
        known = world.observation_sets().items()
        return ", ".join(key for key, names in known if name in names) or "-"

    return [
        (f.name, f.unit, _range(f.low, f.high), sets(f.name), f.meaning) for f in world.fields()
    ]


def _range(low: float, high: float) -> str:
    return " to ".join(f"{v:,.0f}" if v == round(v, 0) else f"{v:,.4g}" for v in (low, high))


def policies() -> int:
    """List what can stand for POLICY in every other command.

    $ compagnon policies
    """
    rows = [
        ("random", "uniform over the actions that are possible"),
        ("constant:ACTION", "always this action; the last possible one where it is masked"),
        *_experts(),
        ("expert:FILE.py:CLASS", "a rule of your own; expert:MODULE:CLASS where it is a module"),
        ("PATH", "a policy on disk (policy.json beside its weights), or a run: its best policy"),
        ("onnx:PATH", "what `compagnon export PATH` wrote: the same policy as an ONNX session"),
        ("onnx-int8:PATH", "the same in INT8, from `compagnon export PATH --int8`"),
    ]
    output.console().print(output.table(("policy", "what it does"), rows, numbers=False))
    return 0


def _experts() -> list[tuple[str, str]]:
    from compagnon.policy.loading import expert_points

    rows = []
    for point in expert_points().values():
        try:
            sentence = (point.load().__doc__ or "").strip().partition("\n")[0].rstrip(".")
        except InputError as error:  # one broken package says nothing against the others
            sentence = str(error)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            sentence = f"needs {package}: {pip(extra_of(package) or package)}"
        # Our docstrings begin with how to call the expert, arguments included.
        match = re.match(r"``(expert:[^`]+)``:\s*(.*)", sentence)
        rows.append((match[1], match[2]) if match else (f"expert:{point.name}", sentence))
    return rows


COMMANDS: dict[str, CommandFunction] = {"recipes": recipes, "envs": envs, "policies": policies}
