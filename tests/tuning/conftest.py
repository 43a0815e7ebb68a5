"""A training that takes no time: how good it is follows from the learning rate and the seed."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from compagnon.rl.recipe import Recipe
from compagnon.tuning import search
from compagnon.tuning.training import Curve


def goodness(recipe: Recipe) -> float:
    """Highest at a learning rate of 0.01; seeds differ a little."""
    rate = getattr(recipe.algorithm, "learning_rate", 0.01)
    return -((math.log10(rate) + 2) ** 2) + (recipe.seed % 7) / 1000


@pytest.fixture
def trained(monkeypatch) -> list[Recipe]:
    """Takes the place of training and judging; the recipes that were trained, in their order."""
    recipes: list[Recipe] = []

    def train(recipe: Recipe, folder: Any, times: Any, evaluated: Callable, each: Callable):
        recipes.append(recipe)
        for number in range(1, 4):
            evaluated(number, goodness(recipe) - 1 / number)
            each()
        times.training += 1.0
        return Curve([10, 20], [0.0, goodness(recipe)])

    def evaluate_best(recipe: Recipe, *_: Any) -> float:
        return goodness(recipe)

    monkeypatch.setattr(search, "train", train)
    monkeypatch.setattr(search, "evaluate_best", evaluate_best)
    return recipes
