"""Turns the arguments of an environment into validated options, or says what would be right."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from compagnon.errors import InputError

Options = TypeVar("Options", bound=BaseModel)


def parse_options(model: type[Options], owner: str, arguments: Mapping[str, object]) -> Options:
    """Validate keyword arguments.

    Args:
        owner: what the options belong to, in the message: "workshop".

    Raises:
        InputError: names the argument, what was given, and what would be right.
    """
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise InputError(f"the {owner} has no option {name!r}; it has {known}") from None
        raise InputError(f"{owner} option {name}={first['input']!r}: {first['msg']}") from None
