"""The numbers of the regret rule: what may be given, what each does, and their search."""

import json

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Schema
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.experts import search
from compagnon.worlds.dispatch.experts.experts import regret
from compagnon.worlds.dispatch.experts.numbers import (
    KINDS,
    LIMITS,
    SEARCHED,
    TUNED,
    Numbers,
    read_numbers,
)
from compagnon.worlds.dispatch.fields import BOOKING
from tests.worlds.dispatch.test_experts import AT, LAYOUT, board, held_board, pair, policy, weighed

RULE = "expert:dispatch-regret"
DECLINE = 1 + LAYOUT.drivers * LAYOUT.board


def placed(obs, place, **values):
    """The observation with other fields of one place."""
    obs = obs.copy()
    begin = LAYOUT.board_start + place * len(BOOKING)
    for name, value in values.items():
        obs[0, begin + AT["booking"][name]] = value
    return obs


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (None, Numbers()),
        ("3", Numbers(compare=3.0)),
        ("3:slack", KINDS["slack"]._replace(compare=3.0)),
        ("4:weigh:share=0.2,worth=2", KINDS["weigh"]._replace(compare=4.0, share=0.2, worth=2.0)),
        ("2:tight=5", Numbers(tight=5.0)),
        *((name, numbers) for name, numbers in TUNED.items()),
        ("clinic:worth=2,compare=5", TUNED["clinic"]._replace(worth=2.0, compare=5.0)),
    ],
)
def test_what_follows_the_name_says_what_is_weighed(argument, expected):
    assert read_numbers(RULE, argument) == expected


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("1", "K='1' should be a whole number from 2 to 100"),
        ("nowhere.json", "or a file written by `compagnon search-rule`"),
        ("village", r"K='village' should be .*, one of the tuned rules \(clinic, city\)"),
        ("clinic:slack", "'slack' is none of compare, tight"),
        ("city:hope=2000", r"hope=2000\.0 should be a number from 0 to 1000"),
        ("3:loose", "'slack', 'hold', 'weigh', 'opportunity', not 'loose'"),
        ("3:slack:loose=1", "'loose' is none of compare, tight"),
        ("3:slack:tight=much", "tight='much' should be a number"),
        ("3:slack:tight=nan", "tight=nan should be a number from 0 to 1000"),
        ("3:slack:minutes=0", r"minutes=0\.0 should be a number from 0\.1 to 1440"),
        ("3:compare=2.5", r"compare=2\.5 should be a whole number"),
        ("3:share=0.5", r"share=0\.5 says nothing without a stake"),
    ],
)
def test_what_cannot_be_weighed_is_said(argument, words):
    with pytest.raises(InputError, match=words):
        read_numbers(RULE, argument)


def test_a_file_holds_them_all_or_is_refused(tmp_path):
    file = tmp_path / "rule.json"
    wanted = KINDS["opportunity"]._replace(patience=2.0)
    file.write_text(json.dumps(wanted._asdict()))
    assert read_numbers(RULE, str(file)) == wanted
    values = wanted._asdict()
    for wrong, words in (
        ("{", "cannot be read as JSON"),
        (json.dumps({**values, "colour": 1}), "expected an object with the keys compare, tight"),
        (json.dumps({**values, "share": "much"}), r"rule\.json: share='much' should be a number"),
        (json.dumps({**values, "worth": True}), "worth=True should be a number"),
    ):
        file.write_text(wrong)
        with pytest.raises(InputError, match=words):
            read_numbers(RULE, str(file))


def test_all_that_is_searched_and_all_that_has_a_name_may_be_given():
    assert tuple(LIMITS) == tuple(SEARCHED) == Numbers._fields
    for name, (low, high, _) in SEARCHED.items():
        assert LIMITS[name][0] <= low <= high <= LIMITS[name][1]
    for numbers in (*KINDS.values(), *TUNED.values()):
        text = ",".join(f"{key}={value}" for key, value in numbers._asdict().items())
        assert read_numbers(RULE, f"2:{text}") == numbers


@pytest.mark.parametrize("name", TUNED)
def test_a_tuned_rule_plays_and_is_what_a_search_may_find(name):
    steps = search.steps_of(TUNED[name])
    assert search.numbers_of(steps) == pytest.approx(TUNED[name])
    args, seeds = {"preset": "clinic-day", "tightness": 0.5}, list(range(40, 52))
    schema = Schema.of(BatchEnv(DISPATCH, args, 1))
    costs = [
        -play_episodes(DISPATCH, args, policy(f"regret:{one}", schema), seeds).returns.mean()
        for one in (name, "3:opportunity")
    ]
    assert costs[0] < costs[1]  # it leaves nobody without an answer


def test_weigh_answers_at_once_and_opportunity_holds():
    two = {(0, 0): (5.0, 1.0), (1, 0): (12.0, 1.0)}
    assert policy("regret:3:opportunity").act(held_board((37,), two)).tolist() == [0]
    assert policy("regret:3:weigh").act(held_board((37,), two)).tolist() == [pair(0, 0)]


def test_a_wait_for_an_answer_has_its_price():
    # He leaves in 135 minutes, 100 more than the horizon: at 0.05 a minute that is 5.
    obs = held_board((136,), {(0, 0): (5.0, 1.0), (1, 0): (12.0, 1.0)})
    obs = placed(obs, 0, answer_price=0.05)
    assert policy("regret:3:hold:patience=5.1").act(obs).tolist() == [0]
    assert policy("regret:3:hold:patience=4.9").act(obs).tolist() == [pair(0, 0)]
    free = placed(obs, 0, answer_price=0.0)
    assert policy("regret:3:hold:patience=0").act(free).tolist() == [0]


def test_who_waits_long_for_no_is_declined():
    # 100 minutes at 0.1 each are 10, of a refusal of 60.
    obs = placed(board({}, (100, 30)), 0, answer_price=0.1, answer_left=2880.0)
    assert policy("regret:3:hope=0.1").act(obs).tolist() == [DECLINE]
    assert policy("regret:3:hope=0.2").act(obs).tolist() == [0]
    # What ends sooner costs less; what can be taken is not declined, nor is what is planned.
    soon = placed(obs, 0, answer_left=50.0)
    assert policy("regret:3:hope=0.1").act(soon).tolist() == [0]
    taken = placed(board({(0, 0): (5.0, 1.0)}, (100,)), 0, answer_price=0.1, answer_left=2880.0)
    assert policy("regret:3:hope=0.1").act(taken).tolist() == [pair(0, 0)]
    promised = placed(obs, 0, promised=1.0)
    assert policy("regret:3:hope=0.1").act(promised).tolist() == [0]


def test_a_move_must_be_worth_it_and_comes_before_a_refusal():
    obs = board({(1, 0): (-1.5, 1.0)}, (100, 100))
    obs = placed(placed(obs, 0, promised=1.0), 1, answer_price=0.1, answer_left=2880.0)
    assert policy("regret:3:hope=0.1").act(obs).tolist() == [pair(1, 0)]
    assert policy("regret:3:hope=0.1,worth=2").act(obs).tolist() == [DECLINE + 1]
    assert policy("regret:3:worth=2").act(obs).tolist() == [0]


def test_a_refusal_may_count_more_or_less_than_it_costs():
    obs = weighed(board({(0, 0): (40.0, 1.0)}, (10,)), (3,))
    assert policy("regret:3:weigh").act(obs).tolist() == [pair(0, 0)]
    assert policy("regret:3:weigh:stake=0.5").act(obs).tolist() == [0]


def test_steps_and_numbers_are_the_same():
    steps = np.array([round((r.high - r.low) / r.step) // 2 for r in SEARCHED.values()])
    assert search.steps_of(search.numbers_of(steps)).tolist() == steps.tolist()
    ends = (np.zeros(len(steps), int), search.steps_of(Numbers(*[1e9] * len(steps))))
    for end, place in zip(ends, (0, 1), strict=True):
        found = search.numbers_of(end)
        assert found == pytest.approx([limits[place] for limits in SEARCHED.values()])


@pytest.mark.full
def test_what_is_searched_is_what_the_rule_costs(monkeypatch):
    args = {"preset": "clinic-day", "tightness": 0.25}
    monkeypatch.setattr(search, "FIRST_SEEDS", (7, 7))
    found = search.search_rule(args, trials=6, seed=1, days=2)
    assert found.trials == 6
    assert tuple(found.values) == Numbers._fields
    policy_found = regret(Schema.of(BatchEnv(DISPATCH, args, 1)))
    policy_found.numbers = Numbers(**found.values)
    played = play_episodes(DISPATCH, args, policy_found, list(range(7, 23)))  # 8 times as many
    assert found.score == f"cost {-played.returns.mean():,.1f} a day"


@pytest.mark.full
def test_search_rule_writes_numbers_that_play(capsys, tmp_path):
    file, env = tmp_path / "rule.json", ["--env", DISPATCH, "--env-args", "preset=clinic-day"]
    assert main(["search-rule", *env, "--trials", "2", "--out", str(file)]) == 0
    assert f"play it as expert:dispatch-regret:{file}" in capsys.readouterr().out.replace("\n", "")
    assert main(["evaluate", f"{RULE}:{file}", "--episodes", "1", *env]) == 0
