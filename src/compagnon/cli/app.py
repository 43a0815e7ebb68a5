"""Gathers the verbs under one program; each group of them stands in a file of its own."""

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Sequence
from typing import Any, get_origin, get_type_hints

import tyro
from tyro.extras import SubcommandApp

import compagnon
from compagnon import output
from compagnon.arguments import CommandFunction
from compagnon.cli import (
    db,
    demo,
    diagnose,
    evaluate,
    experiment,
    export,
    keys,
    learn,
    listing,
    log,
    ope,
    operate,
    outcomes,
    play,
    registry,
    serve,
    slices,
    tune,
    watch,
)
from compagnon.compiling import tell_of_compiling
from compagnon.errors import InputError
from compagnon.extras import NEEDS, Need, require
from compagnon.worlds import worlds
from compagnon.worlds.command import Command, CommandGroup

# In the order in which `compagnon --help` lists them.
_COMMANDS: dict[str, CommandFunction] = {
    **learn.COMMANDS,
    **tune.COMMANDS,
    **evaluate.COMMANDS,
    **diagnose.COMMANDS,
    **watch.COMMANDS,
    **play.COMMANDS,
    **serve.COMMANDS,
    **ope.COMMANDS,
    **export.COMMANDS,
    **demo.COMMANDS,
    **listing.COMMANDS,
}
_GROUPS: dict[str, tuple[str, dict[str, CommandFunction]]] = {
    "db": ("The database of decisions and models.", db.COMMANDS),
    "keys": ("Keys for the service.", keys.KEYS_COMMANDS),
    "log": (
        "The decisions that were logged, made again or written as a table.",
        log.COMMANDS,
    ),
    "operate": (
        "A deployment from one file: who decides, and by what it is judged.",
        operate.OPERATE_COMMANDS,
    ),
    "outcomes": ("What came of decisions.", outcomes.COMMANDS),
    "slices": ("Decisions whose outcomes have come, frozen under a hash.", slices.COMMANDS),
    "experiment": (
        "Whether another policy is better, on real decisions: laid down, looked at, ended.",
        experiment.COMMANDS,
    ),
    "registry": ("Models, their versions, and which of them decides.", registry.COMMANDS),
}


def verbs() -> dict[str, CommandFunction]:
    """Every verb that stands alone, in the order of the help; those of worlds come last."""
    found = dict(_COMMANDS)
    for name, command in world_commands().items():
        if isinstance(command, Command):
            found[name] = command.run
    return found


def groups() -> dict[str, tuple[str, dict[str, CommandFunction]]]:
    """What each group of verbs is for, and the verbs."""
    found = dict(_GROUPS)
    for name, group in world_commands().items():
        if isinstance(group, CommandGroup):
            inner = {verb: command.run for verb, command in group.commands.items()}
            found[name] = (group.help, inner)
    return dict(sorted(found.items()))


@functools.cache
def world_commands() -> dict[str, Command | CommandGroup]:
    """The verbs that worlds bring; one whose name is taken already is named in a warning."""
    found: dict[str, Command | CommandGroup] = {}
    for world in worlds():
        for name, command in world.commands().items():
            if name in found or name in _COMMANDS or name in _GROUPS:
                output.complain(
                    f"the verb {name} of the world {world.name} is left out: it is taken"
                )
                continue
            found[name] = command
    return found


def needs() -> dict[str, Need]:
    """The verbs that cannot do anything without an extra, see `extras.NEEDS`."""
    found = dict(NEEDS)
    for name, command in world_commands().items():
        if isinstance(command, CommandGroup):
            found |= {
                f"{name} {verb}": (one.extra, one.packages)
                for verb, one in command.commands.items()
                if one.extra
            }
        elif command.extra:
            found[name] = (command.extra, command.packages)
    return found


_DESCRIPTION = """Learned decisions: a rule, a clone of it, and a policy that does better.

$ compagnon demo                                      all of it, in a few minutes
$ compagnon policies                                  what can be played
$ compagnon evaluate expert:workshop-v2 random        which one is better
$ compagnon watch expert:workshop-v2                  and how it looks
$ compagnon learn workshop-tight                      a clone of it, then practice
$ compagnon report runs/workshop-tight                what came of it
$ compagnon VERB --help                               one verb, with examples"""
# Booleans are plain flags, and options are not prefixed by the group that they stand in.
_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)


def parse_and_run(words: list[str]) -> int:
    """Run the verb that the words name; its exit code.

    Raises:
        InputError: they name none, or one whose extra is not installed.
    """
    output.begin(("compagnon", *words))
    if words[:1] in (["--version"], ["-V"]):
        print(f"compagnon {compagnon.__version__}")
        return 0
    words, verb = _verb(words)
    if verb is not None and not {"-h", "--help"} & set(words):
        require(verb, needs())
    tell_of_compiling(output.complain)
    if verb is not None:
        words = _gathered(words, _function(verb))
    app = SubcommandApp()
    known = verbs()
    _add(app, known, examples=bool(words) and words[0] in known)
    for name, (sentence, inner) in groups().items():
        group = SubcommandApp()
        _add(group, inner, examples=words[:1] == [name] and bool(set(words) & set(inner)))
        app.command(group, name=name, help=sentence)
    return int(app.cli(prog="compagnon", description=_DESCRIPTION, args=words, config=_STYLE))


def _verb(words: list[str]) -> tuple[list[str], str | None]:
    """The words, and the verb that they name; where they name none, those that ask for help.

    Raises:
        InputError: a word that is no verb; names what it may have meant.
    """
    first = next(iter(words), "--help")
    if first.startswith("-"):
        return words or [first], None
    known = groups()
    if first not in known:
        _check_word(first, [*verbs(), *known], "compagnon")
        return words, first
    second = next(iter(words[1:]), "--help")
    if not second.startswith("-"):
        _check_word(second, list(known[first][1]), f"compagnon {first}")
        return words, f"{first} {second}"
    return words if len(words) > 1 else [first, second], None


def _function(verb: str) -> CommandFunction:
    """What a verb runs; ``data check`` is one of a group."""
    first, _, second = verb.partition(" ")
    return groups()[first][1][second] if second else verbs()[first]


def _gathered(words: list[str], function: CommandFunction) -> list[str]:
    """The words, with the values of an option that is given more than once in one place.

    The parser would take the last ones, and say nothing.

    Raises:
        InputError: an option of one value is given twice.
    """
    parts: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            name = name.replace("_", "-")  # the parser takes both
            parts.append([name, value] if equals else [name])
        else:
            parts[-1].append(word)
    kinds = _kinds(function)
    found: dict[str, list[str]] = {}
    for part in parts[1:]:
        name, *values = part
        before = found.get(name)
        if before is None:
            found[name] = part
        elif kinds.get(name[2:].replace("-", "_")) in (tuple, list):
            before += values
        elif values:
            raise InputError(f"{name} is given twice ({' '.join([*before[1:], *values])})")
    return [*parts[0], *(word for part in found.values() for word in part)]


def _kinds(function: Any) -> dict[str, Any]:
    """Option -> tuple, list or whatever generic it is; those of tables of options with them."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(function).items():
        found[name] = get_origin(hint)
        if dataclasses.is_dataclass(hint):
            found |= _kinds(hint)
    return found


def _check_word(word: str, known: Sequence[str], program: str) -> None:
    if word in known:
        return
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"`{program} --help` lists them"
    raise InputError(f"{program} has no verb {word!r}; {hint}")


def _add(app: SubcommandApp, verbs: dict[str, CommandFunction], examples: bool) -> None:
    """Add verbs; a list of them shows their first sentences, a verb's own help its examples too."""
    for name, verb in verbs.items():
        text = inspect.getdoc(verb) or ""
        app.command(name=name, help=text if examples else text.partition("\n")[0])(verb)
