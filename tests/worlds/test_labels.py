"""Every world says its terms in both languages, and names no figure that there is not."""

import pytest

from compagnon.envs import BatchEnv
from compagnon.evaluation.labels import WorldLabels, labels_of
from compagnon.worlds import World, worlds

NAMED = [world for world in worlds() if world.labels().english]


@pytest.mark.parametrize("world", NAMED, ids=lambda world: world.name)
def test_what_has_english_words_has_french_ones(world: World) -> None:
    labels = world.labels()
    assert set(labels.french) == set(labels.english)
    for name, english in labels.english.items():
        assert labels.label(name) == english
        assert labels.label(name, "fr") == labels.french[name]


@pytest.mark.parametrize("world", NAMED, ids=lambda world: world.name)
def test_only_figures_of_the_environment_are_named(world: World) -> None:
    env = BatchEnv(world.env_ids[0], {}, 1)
    labels = world.labels()
    named = {*labels.english, *labels.units, *labels.profit_terms, *labels.served}
    named |= {one.kpi for figures in labels.card.values() for one in figures}
    assert named <= {*env.kpi_names, *env.reward_term_names, *labels.lost}


def test_an_environment_of_no_world_is_spoken_of_by_its_names() -> None:
    labels = labels_of("CartPole-v1")
    assert labels == WorldLabels()
    assert labels.label("fuel_cost") == labels.label("fuel_cost", "fr") == "fuel cost"


def test_the_workshop_and_dispatch_are_among_them() -> None:
    assert {"workshop", "dispatch", "dispatch-poc"} == {world.name for world in NAMED}
