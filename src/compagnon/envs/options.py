"""Turns the arguments of an environment into validated options, or says what would be right."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from compagnon.errors import InputError

NO_TRUTH = "should be a number, not true or false"
Options = TypeVar("Options", bound=BaseModel)


def parse_options(model: type[Options], owner: str, arguments: Mapping[str, object]) -> Options:
    """Validate keyword arguments.

    Args:
        owner: what the options belong to, in the message: "shop".

    Raises:
        InputError: names the argument, what was given, and what would be right.
    """
    for name, value in arguments.items():
        field = model.model_fields.get(name)
        if field is not None and truth_for_a_number(value, field.annotation):
            raise InputError(f"{owner} option {name}={value!r}: {NO_TRUTH}")
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise InputError(f"the {owner} has no option {name!r}; it has {known}") from None
        raise InputError(f"{owner} option {name}={first['input']!r}: {first['msg']}") from None


def truth_for_a_number(value: object, annotation: Any) -> bool:
    """Whether a value is, or holds, a truth value that its field would count as 0 or 1."""
    if isinstance(value, list | tuple):
        return any(truth_for_a_number(one, annotation) for one in value)
    return isinstance(value, bool) and not _takes_truth(annotation)


def _takes_truth(annotation: Any) -> bool:
    if annotation is bool or annotation is Any or isinstance(annotation, bool):
        return True
    return any(_takes_truth(part) for part in get_args(annotation))
