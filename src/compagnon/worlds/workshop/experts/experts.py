"""The workshop's rules as policies that find their inputs by name in any observation."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.policy.basic import keep_possible
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Schema
from compagnon.worlds.arguments import no_argument
from compagnon.worlds.workshop import WORKSHOP, constants
from compagnon.worlds.workshop.experts import rules
from compagnon.worlds.workshop.experts.rules import BaseStockLevels

# A small search found these for each shipped setting: `compagnon search-rule --help`.
LEVELS_FILE: Final = "base_stock_levels.json"
DEFAULT_SETTING: Final = "published"
_MAX_BYTES: Final = 100_000

_Rule = Callable[[NDArray[np.int64], BaseStockLevels, NDArray[np.int64]], None]
_NUMBERS: Final[dict[Any, int]] = {
    rules.apply_v2: rules.V2,
    rules.apply_base_stock: rules.BASE_STOCK,
    rules.apply_over_producer: rules.OVER_PRODUCER,
}
_NO_LEVELS = BaseStockLevels(*[0] * 9)


class WorkshopRule:
    """A compiled rule applied to each row; what it wants but may not have becomes WAIT.

    Attributes:
        number: of the rule, see `rules.by_number`.
        levels: of the base-stock rule.
    """

    def __init__(
        self, name: str, rule: _Rule, schema: Schema, levels: BaseStockLevels = _NO_LEVELS
    ) -> None:
        if schema.action.kind != "discrete" or schema.action.n != constants.NUM_ACTIONS:
            raise InputError(f"{name} plays {WORKSHOP} only, not {schema.env_id}")
        self.name = name
        self.levels = levels
        self._rule = rule
        self.number = _NUMBERS[rule]
        own = schema.observation
        missing = [field for field in rules.NEEDED if field not in own.names]
        if missing:
            raise InputError(
                f"{name} needs the observation fields {', '.join(missing)}, which this environment "
                "does not show; use observation=compact or full, or add them to the list"
            )
        wanted = own.select(rules.NEEDED, scaling="physical")
        self._project = wanted.projection_from(own, name)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The rule's action for each row, int64 (N,); a rule has no chance in it."""
        check_choice(obs, action_mask, self.name)
        inputs = np.rint(self._project(obs)).astype(np.int64)
        actions = np.empty(len(inputs), np.int64)
        self._rule(inputs, self.levels, actions)
        if action_mask is not None:
            keep_possible(actions, action_mask)  # WAIT is the last action
        return actions

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, 201): 1 for the rule's action."""
        return np.eye(constants.NUM_ACTIONS)[self.act(obs, action_mask)]


def workshop_v2(schema: Schema, argument: str | None = None) -> WorkshopRule:
    """``expert:workshop-v2``: the published expert."""
    no_argument("expert:workshop-v2", argument)
    return WorkshopRule("expert:workshop-v2", rules.apply_v2, schema)


def workshop_over_producer(schema: Schema, argument: str | None = None) -> WorkshopRule:
    """``expert:workshop-over-producer``: how the published reward is gamed."""
    no_argument("expert:workshop-over-producer", argument)
    return WorkshopRule("expert:workshop-over-producer", rules.apply_over_producer, schema)


def workshop_base_stock(schema: Schema, argument: str | None = None) -> WorkshopRule:
    """``expert:workshop-base-stock[:SETTING or FILE]``: nine levels, tuned for a setting."""
    levels = load_levels(argument or DEFAULT_SETTING)
    name = "expert:workshop-base-stock" + (f":{argument}" if argument else "")
    return WorkshopRule(name, rules.apply_base_stock, schema, levels)


def shipped_levels() -> dict[str, BaseStockLevels]:
    """The levels that ship, by setting."""
    text = files("compagnon.worlds.workshop").joinpath("data", LEVELS_FILE).read_text()
    return {name: parse_levels(value, name) for name, value in json.loads(text).items()}


def load_levels(name: str) -> BaseStockLevels:
    """The levels of a shipped setting, or of a JSON file that `search-rule` wrote.

    Raises:
        InputError: neither a setting nor a file, or a file that does not hold nine whole numbers.
    """
    shipped = shipped_levels()
    if name in shipped:
        return shipped[name]
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"base-stock levels {name!r}: neither a setting ({', '.join(shipped)}) "
            "nor a file written by `compagnon search-rule`"
        )
    data = read_file(path, _MAX_BYTES)
    try:
        value = json.loads(data)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}, line {error.lineno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be read as JSON ({error})") from None
    return parse_levels(value, name)


def parse_levels(value: Any, where: str) -> BaseStockLevels:
    """Nine named whole numbers as levels; InputError names the one that is not right."""
    fields = BaseStockLevels._fields
    if not isinstance(value, dict) or set(value) != set(fields):
        raise InputError(f"{where}: expected an object with the keys {', '.join(fields)}")
    for key, number in value.items():
        if type(number) is not int or not -constants.STOCK_CAP <= number <= 1_000:
            raise InputError(f"{where}: {key}={number!r} should be a whole number of units")
    batches = ("order_size", "p1_batch", "step1_batch", "step2_batch")
    for key in batches:
        if not 1 <= value[key] <= constants.BATCHES:
            raise InputError(
                f"{where}: {key}={value[key]} should be between 1 and {constants.BATCHES}"
            )
    return BaseStockLevels(**value)
