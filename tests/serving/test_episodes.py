"""At most so many explored decisions in one episode: counted exactly, over restarts and workers."""

import numpy as np
import pytest

from compagnon.serving.episodes import REMEMBERED, Episodes, explored_before
from compagnon.serving.replaying import loader
from compagnon.serving.settings import ServiceSettings
from compagnon.store.replay import pages, replay
from tests.serving.client import SHOP, served

EVERYTHING = {"explore": 0.5, "explore_floor": 0.0}


def taken(episodes, name):
    """How many decisions of an episode may explore, if each that may does."""
    count = 0
    while episodes.rate(name):
        episodes.explored(name)
        count += 1
    return count


def test_an_episode_explores_so_often_and_no_oftener():
    episodes = Episodes(0.25, 3)
    assert episodes.rate("monday") == 0.25
    assert taken(episodes, "monday") == 3
    assert taken(episodes, "tuesday") == 3
    episodes.take_back("monday")
    assert taken(episodes, "monday") == 1


def test_without_an_episode_or_a_limit_everything_may_explore():
    episodes = Episodes(0.25, 3)
    for _ in range(10):
        episodes.explored(None)
    assert episodes.rate(None) == 0.25
    free = Episodes(0.25, 0)
    for _ in range(10):
        free.explored("monday")
    assert free.rate("monday") == 0.25
    assert len(free) == 0


@pytest.mark.parametrize("most", [1, 2, 3, 7])
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_workers_share_out_exactly_as_many(most, workers):
    several = [Episodes(0.1, most, place, workers) for place in range(workers)]
    shares = [[taken(one, f"day {k}") for one in several] for k in range(60)]
    assert {sum(share) for share in shares} == {most}
    assert {max(share) - min(share) for share in shares} <= {0, 1}
    if workers > 1 and most < workers:  # not always the same one
        assert len({share.index(max(share)) for share in shares}) > 1


def test_memory_is_bounded_and_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr("compagnon.serving.episodes.REMEMBERED", 3)
    episodes = Episodes(0.1, 1)
    for name in "abcd":
        episodes.explored(name)
    assert len(episodes) == 3
    assert [episodes.rate(name) for name in "abcd"] == [0.1, 0.0, 0.0, 0.0]
    assert REMEMBERED == 100_000


def ask(client, count, episode="monday", first=0):
    bodies = [
        {"id": f"{episode}{k}", "episode": episode, "state": {**SHOP, "raw": k % 50}}
        for k in range(first, first + count)
    ]
    half = len(bodies) // 2
    for body in bodies[:half]:
        client.decide(**body)
    response = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies[half:]})
    assert response.status_code == 200, response.text


def rows_of(client, episode):
    return [
        row
        for page in pages(client.parts.repository.store)
        for row in page
        if row.episode == episode
    ]


def test_a_service_keeps_to_it_and_its_log_replays(artefact, db):
    settings = ServiceSettings(policy=str(artefact), db=db, explore_cap=4, **EVERYTHING)
    with served(settings) as client:
        ask(client, 60)
        ask(client, 30, "tuesday")
        client.decide()  # of no episode
        rows = rows_of(client, "monday")
        explored = [k for k, row in enumerate(rows) if row.mode == "explored"]
        assert len(explored) == 4
        # Until then the rate applied to every row, and from then on to none.
        rates = [row.epsilon for row in rows]
        assert set(rates[: explored[-1] + 1]) == {0.5}
        assert set(rates[explored[-1] + 1 :]) == {0.0}
        for row in rows[explored[-1] + 1 :]:
            assert (row.mode, row.probability) == ("deterministic", 1.0)
            assert np.frombuffer(row.probabilities).max() == 1.0
        store = client.parts.repository.store
        counted = client.ask("GET", "/metrics").text
        every = [row.mode for page in pages(store) for row in page].count("explored")
        assert f"compagnon_decisions_explored_total {every}.0" in counted
        assert replay(store, loader(store, [artefact])).good
        assert explored_before(store, "default") == {"monday": 4, "tuesday": 4}
        assert explored_before(store, "other") == {}
    with served(settings) as client:  # it is counted again from the log
        ask(client, 30, first=60)
        assert {row.epsilon for row in rows_of(client, "monday")[60:]} == {0.0}
        ask(client, 60, "wednesday")
        assert [row.mode for row in rows_of(client, "wednesday")].count("explored") == 4


def test_asking_again_is_not_counted_again(artefact, sqlite):
    settings = ServiceSettings(policy=str(artefact), db=sqlite, explore_cap=2, explore=1.0,
                        explore_floor=0.0)  # fmt: skip
    with served(settings) as client:
        first = client.decide(id="a", episode="monday")
        for _ in range(5):
            assert client.decide(id="a", episode="monday") == first
        client.decide(id="b", episode="monday")
        client.decide(id="c", episode="monday")
        assert [row.mode for row in rows_of(client, "monday")] == [
            "explored", "explored", "deterministic",
        ]  # fmt: skip


def test_vectors_keep_to_it_too(tmp_path, sqlite):
    from compagnon.policy.manifest import DeterministicHead
    from tests.serving.support import exported

    path = exported(tmp_path / "pendulum", "Pendulum-v1", head=DeterministicHead())
    settings = ServiceSettings(policy=str(path), db=sqlite, explore=1.0, explore_cap=3)
    with served(settings) as client:
        for k in range(6):
            client.decide(observation={"obs_0": 0.6, "obs_1": 0.8, "obs_2": k / 6},
                          episode="one")  # fmt: skip
        modes = [row.mode for row in rows_of(client, "one")]
        assert modes == ["explored"] * 3 + ["deterministic"] * 3
        store = client.parts.repository.store
        assert replay(store, loader(store, [path])).good


@pytest.mark.parametrize("episode", ["x" * 201, "a\x00b", 7])
def test_what_is_no_episode(local, episode):
    assert local.decide(422, episode=episode)["field"] == "episode"
