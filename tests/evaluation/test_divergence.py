import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.divergence import Divergence, divergence, print_divergence
from compagnon.evaluation.worth import sample_deviations
from compagnon.policy import Policy, Schema, load_policy
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.order_book_samples import sample_order_book
from tests.evaluation.names import BASE_STOCK, V2

Change = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[np.int64]]


@dataclass
class Altered:
    """Decides as `base` does, but for what `change` makes of (obs, actions)."""

    base: Policy
    change: Change
    name: str = "altered"

    def act(self, obs: NDArray[Any], action_mask: Any = None, rng: Any = None) -> NDArray[np.int64]:
        return self.change(obs, self.base.act(obs, action_mask, rng))


def altered(change: Change) -> Altered:
    return Altered(load_policy(V2, Schema.of(BatchEnv(WORKSHOP, {}, 1))), change)


def is_p1(actions: NDArray[np.int64]) -> NDArray[np.bool_]:
    return actions < 50


def late_order(obs: NDArray[Any], actions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Orders 50 raw in the last minute, when nothing can come of it."""
    return np.where((obs[:, 0] == 10_079) & (actions == 200), 199, actions)


@pytest.mark.full
def test_a_policy_does_not_diverge_from_itself() -> None:
    found = divergence(V2, V2, WORKSHOP, {}, episodes=3)
    assert found.share == found.share_active == found.share_on_expert == 0.0
    assert found.differences == []
    assert not any(found.by_hour)
    assert found.measured.reward.mean == 0.0
    off_diagonal = found.confusion - np.diag(np.diag(found.confusion))
    assert off_diagonal.sum() == 0
    assert found.confusion.sum() == 10_080


@pytest.mark.full
def test_a_policy_altered_in_one_family_diverges_in_that_one_alone() -> None:
    def wait_for_p1(_: NDArray[Any], actions: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(is_p1(actions), 200, actions)

    found = divergence(altered(wait_for_p1), V2, WORKSHOP, {}, episodes=2, samples=0)
    assert [(d.expert, d.policy, d.size_only) for d in found.differences] == [("P1", "wait", False)]
    assert found.differences[0].share == 1.0
    assert found.differences[0].worth is None
    assert found.accounted is None
    assert found.confusion[1, 0] * 2 == pytest.approx(found.share * found.decisions)
    assert found.confusion[:, 1].sum() == 0


@pytest.mark.full
def test_another_size_is_told_from_another_family() -> None:
    def ones(_: NDArray[Any], actions: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(is_p1(actions), 0, actions)

    found = divergence(altered(ones), V2, WORKSHOP, {}, episodes=2, samples=0)
    assert [d.label for d in found.differences] == ["P1, other size"]
    assert found.differences[0].size_only


@pytest.mark.full
def test_when_is_the_hour_and_the_day_of_the_differences() -> None:
    def from_noon_on_tuesday(obs: NDArray[Any], actions: NDArray[np.int64]) -> NDArray[np.int64]:
        time = obs[:, 0]
        return np.where((time >= 2_160) & (time < 2_220) & (actions == 200), 150, actions)

    found = divergence(altered(from_noon_on_tuesday), V2, WORKSHOP, {}, episodes=2, samples=0)
    assert found.by_hour[12] > 0
    assert found.by_day[1] > 0
    assert sum(found.by_hour) == found.by_hour[12]
    assert sum(found.by_day) == found.by_day[1]


def test_the_worth_of_a_useless_order_is_its_price() -> None:
    found = divergence(altered(late_order), V2, WORKSHOP, {}, episodes=6, samples=50)
    (kind,) = found.differences
    assert (kind.expert, kind.policy) == ("wait", "order")
    assert kind.worth is not None
    assert kind.worth.profit is not None
    assert kind.worth.samples == kind.per_episode * 6
    assert kind.worth.profit.mean == pytest.approx(-50.0)
    assert kind.worth.reward.mean == pytest.approx(-50.0 + 0.2)  # and the wait it saves
    assert kind.worth.reward.falls


@pytest.mark.full
def test_seen_from_the_other_side_the_worth_has_the_other_sign() -> None:
    found = divergence(V2, altered(late_order), WORKSHOP, {}, episodes=2, samples=50)
    worth = found.differences[0].worth
    assert worth is not None
    assert worth.reward.mean == pytest.approx(49.8)


@pytest.mark.full
def test_a_horizon_of_one_step_prices_the_step_alone() -> None:
    def wait_for_p1(_: NDArray[Any], actions: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(is_p1(actions), 200, actions)

    found = divergence(altered(wait_for_p1), V2, WORKSHOP, {}, episodes=2, samples=40, horizon=1)
    worth = found.differences[0].worth
    assert worth is not None
    assert worth.profit is not None
    assert worth.profit.mean == 0.0
    # The bonus of 0.5 a unit, 1 to 5 units, and the cost of waiting.
    assert -2.7 <= worth.reward.mean <= -0.7
    assert found.accounted is None


@pytest.mark.full
def test_all_deviations_together_are_the_difference_in_return() -> None:
    def idle_at_times(obs: NDArray[Any], actions: NDArray[np.int64]) -> NDArray[np.int64]:
        time = obs[:, 0]
        return np.where((time >= 600) & (time < 630), 200, actions)

    found = divergence(altered(idle_at_times), V2, WORKSHOP, {}, episodes=2, samples=1_000)
    assert len(found.differences) > 1
    assert found.accounted is not None
    assert found.accounted.profit is not None
    assert found.measured.profit is not None
    assert found.measured.reward.mean != 0.0
    assert found.accounted.reward.mean == pytest.approx(found.measured.reward.mean, abs=1e-6)
    assert found.accounted.profit.mean == pytest.approx(found.measured.profit.mean, abs=1e-6)


@pytest.mark.full
def test_the_over_producer_earns_reward_and_costs_profit_where_it_makes_more(
    over_producer_divergence: Divergence,
) -> None:
    by_label = {d.label: d.worth for d in over_producer_divergence.differences}
    worth = by_label["wait -> step 1"]
    assert worth is not None
    assert worth.profit is not None
    assert worth.reward.rises
    assert worth.profit.mean < 0


@pytest.mark.full
def test_the_same_call_gives_the_same_answer() -> None:
    calls = [
        divergence(BASE_STOCK, V2, WORKSHOP, {"decision_points": True}, 1, 3, samples=20)
        for _ in range(2)
    ]
    assert calls[0].as_json() == calls[1].as_json()


def test_decision_points_keep_the_clock() -> None:
    args = {"decision_points": True}
    found = divergence(BASE_STOCK, V2, WORKSHOP, args, episodes=2, samples=10, horizon=300)
    assert found.decisions < 10_080
    assert all(share > 0 for share in found.by_day)
    assert any(d.worth is not None for d in found.differences)


def test_other_envs_get_shares_by_action_and_no_worth() -> None:
    found = divergence("constant:1", "constant:0", "CartPole-v1", {}, episodes=4)
    assert found.share == found.share_on_expert == 1.0
    assert found.share_active is None
    assert [d.label for d in found.differences] == ["action 0 -> action 1"]
    assert found.differences[0].worth is None
    assert found.by_hour == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episodes": 0}, "episodes=0"),
        ({"samples": -1}, "samples=-1"),
        ({"horizon": 0}, "horizon=0"),
        ({"seed": -3}, "seed=-3"),
        ({"env_id": "Pendulum-v1"}, "discrete"),
        ({"policy": "expert:nobody"}, "nobody"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"policy": V2, "expert": V2, "env_id": WORKSHOP, "env_args": {}}
    with pytest.raises(InputError, match=message):
        divergence(**(arguments | change))  # type: ignore[arg-type]


def test_samples_are_spread_over_the_kinds() -> None:
    differs = np.ones((100, 3), np.bool_)
    kinds = np.zeros((100, 3), np.int64)
    kinds[:4, 0] = 7
    chosen = sample_deviations(differs, kinds, 20, seed=0)
    assert len(chosen) == 20
    assert sum(one.kind == 7 for one in chosen) == 4
    assert len({(one.step, one.row) for one in chosen}) == 20
    assert sample_deviations(differs, kinds, 0, seed=0) == []
    assert len(sample_deviations(differs, kinds, 10_000, seed=0)) == 300


@pytest.mark.full
def test_json_and_table_hold_the_figures(over_producer_divergence: Divergence) -> None:
    data = json.loads(json.dumps(over_producer_divergence.as_json(), allow_nan=False))
    assert len(data["by_hour"]) == 24
    assert sum(d["share"] for d in data["differences"]) == pytest.approx(1.0)
    console = Console(record=True, file=io.StringIO(), width=160)
    print_divergence(console, over_producer_divergence)
    text = console.export_text()
    assert "wait -> step 1" in text
    assert f"{over_producer_divergence.share:.1%}" in text
    assert "Mon" in text


@pytest.mark.full
def test_each_week_of_an_order_book_is_compared_once() -> None:
    book = {"demand": str(sample_order_book()), "decision_points": True}
    assert divergence(V2, BASE_STOCK, WORKSHOP, book, episodes=20, samples=0).episodes == 4


class ManyActions(gymnasium.Env[NDArray[np.float32], int]):
    """Three hundred actions, none of which changes anything."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(300)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Any:
        self.count += 1
        return np.full(1, self.count, np.float32), float(action), self.count == 4, False, {}


class Narrow:
    """Takes one action, and says so in as few bits as hold it."""

    def __init__(self, action: int, kind: Any) -> None:
        self.action, self.kind, self.name = action, kind, f"narrow:{action}"

    def act(self, obs: NDArray[Any], action_mask: Any = None, rng: Any = None) -> NDArray[Any]:
        return np.full(len(obs), self.action, self.kind)


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.int64])
def test_pairs_of_actions_are_numbered_in_more_bits_than_actions_are(kind: Any) -> None:
    """299 x 300 + 280 does not fit into the 16 bits that hold 299."""
    if "tests/ManyActions-v0" not in gymnasium.registry:
        gymnasium.register("tests/ManyActions-v0", entry_point=ManyActions)
    policy, expert = Narrow(280, kind), Narrow(299, kind)
    found = divergence(policy, expert, "tests/ManyActions-v0", {}, episodes=2, samples=0)
    (kind_of,) = found.differences
    assert (kind_of.expert, kind_of.policy) == ("action 299", "action 280")
    assert (found.share, kind_of.per_episode) == (1.0, 4.0)
    assert found.confusion[299, 280] == found.confusion.sum()


def test_in_sixteen_bits_another_pair_would_be_named() -> None:
    pair = np.array([299], np.int16) * np.int16(300) + np.array([280], np.int16)
    assert divmod(int(pair[0]), 300) != (299, 280)
