"""Every world says its terms in both languages, and names no figure that there is not."""

import pytest

from compagnon.envs import BatchEnv
from compagnon.evaluation.audit import OTHER, audit
from compagnon.evaluation.labels import WorldLabels, labels_of
from compagnon.worlds import World, worlds

NAMED = [world for world in worlds() if world.labels().english]


@pytest.mark.parametrize("world", NAMED, ids=lambda world: world.name)
def test_what_has_english_words_has_french_ones(world: World) -> None:
    labels = world.labels()
    assert set(labels.french) == set(labels.english)
    told = labels.as_json([*labels.english, "of_no_name"])
    for name, english in labels.english.items():
        assert labels.label(name) == english
        unit = labels.units.get(name)
        assert told[name] == {"en": english, "fr": labels.french[name], "unit": unit}
    assert told["of_no_name"] == {"en": "of no name", "fr": None, "unit": None}


def test_a_unit_is_shown_where_the_words_do_not_say_it() -> None:
    units = {"backlog": "units", "theft": "units", "cost_km": "km"}
    labels = WorldLabels(english={"theft": "units stolen"}, units=units)
    shown = [labels.with_unit(name) for name in ("backlog", "theft", "cost_km", "share")]
    assert shown == ["backlog (units)", "units stolen", "cost km", "share"]


@pytest.mark.parametrize(
    ("world", "env_args"),
    [
        ("workshop", {}),
        ("workshop", {"reward": "profit"}),
        ("dispatch", {"preset": "clinic-day"}),
        ("dispatch-poc", {}),
        ("ball", {}),
    ],
)
def test_reward_terms_add_up_to_the_reward(world: str, env_args: dict[str, str]) -> None:
    """A KPI that bears the name of a term, and is something else, would be taken for it."""
    env_id = next(one for one in worlds() if one.name == world).env_ids[0]
    env = BatchEnv(env_id, env_args, 1)
    if env.reward_term_names:
        found = audit(["random"], env_id, env_args, episodes=2)
        assert OTHER not in found.policies[0].terms


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
    assert labels.label("fuel_cost") == "fuel cost"


def test_the_workshop_and_dispatch_are_among_them() -> None:
    assert {"workshop", "dispatch", "dispatch-poc"} == {world.name for world in NAMED}
