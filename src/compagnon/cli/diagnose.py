"""`diagnose`: why an imitation fails, and which change mends it."""

from typing import Annotated

from tyro.conf import Positional

from compagnon import output
from compagnon.arguments import CommandFunction, Force, Json, Page, check_seed, flag, optional


def diagnose(
    recipe: Annotated[
        str | None, Positional, optional("[RECIPE]", "a shipped recipe or a TOML file")
    ] = None,
    /,
    seed: Annotated[int | None, optional("S", "train with this seed, not the recipe's")] = None,
    episodes: Annotated[
        int | None, optional("N", "unseen episodes that every policy plays; 32, or 8 if quick")
    ] = None,
    quick: Annotated[bool, flag("train and play less: half a minute")] = False,
    json: Json = None,
    report: Page = None,
    force: Force = False,
) -> int:
    """Find out why an imitation fails, and which change mends it.

    $ compagnon diagnose
    $ compagnon diagnose mine.toml --quick --report diagnosis.html
    """
    output.claim(force, json, report)
    changes = {}
    if seed is not None:
        check_seed(seed)
        changes["seed"] = seed
    from compagnon.rl.recipe import load_recipe
    from compagnon.rl.registry import find_diagnoser
    from compagnon.worlds.registry import usual_world

    recipe = usual_world().imitation_recipe if recipe is None else recipe
    chosen = load_recipe(recipe, changes)  # a wrong name is refused before torch is imported
    with output.busy(f"diagnosing {chosen.name}") as say:
        found = find_diagnoser(chosen.algorithm.kind)(chosen, quick, episodes, say)
    found.show(output.console())
    if json is not None:
        output.write_json(json, found.as_json())
    if report is not None:
        output.write_text(report, found.page(output.typed.get()))
    return 0


COMMANDS: dict[str, CommandFunction] = {"diagnose": diagnose}
