"""A state from outside shows what the environment shows at the same tick."""

import json

import msgspec
import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch_poc.env import DispatchPocEnv
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.state import PocReader, PocState, action_in_words
from tests.worlds.dispatch_poc.states import state_of

OPTIONS = {"drivers": 4, "slots": 8, "assignments_per_tick": 3}


def read(value):
    return msgspec.json.decode(json.dumps(value, allow_nan=False), type=PocState)


@pytest.mark.parametrize(
    "more",
    [{}, {"observation": "pairs"}, {"order": "urgency"}, {"faults": True},
     {"observation": "pairs", "order": "urgency"}],
)  # fmt: skip
def test_a_state_shows_what_the_environment_shows(more):
    options = OPTIONS | more
    env = DispatchPocEnv(**options)
    reader = PocReader(PocOptions.parse(**options))
    rng = np.random.default_rng(1)
    obs, info = env.reset(seed=4)
    given = 0
    for step in range(150):
        state = read(state_of(env._core.days, ends=step % 2 == 0))
        look = reader.look(state)
        np.testing.assert_array_equal(look.mask, info["action_mask"])
        np.testing.assert_allclose(look.obs, obs, rtol=1e-5, atol=1e-5)
        possible = np.flatnonzero(info["action_mask"])
        action = int(rng.choice(possible))
        if action:
            # The words name whom the environment sends, and to which booking.
            days, slots = env._core.days, OPTIONS["slots"]
            driver = days.order[0, (action - 1) // slots]
            booking = days.shown[0, (action - 1) % slots]
            words = action_in_words(action, look, state)
            assert words == f"driver d{driver} takes booking b{booking}"
            before = days.given[0].copy()
            given += 1
        obs, _, ended, _, info = env.step(action)
        if action and not ended:
            assert env._core.days.given[0, driver] == before[driver] + 1
        if ended:
            obs, info = env.reset()
    assert given > 10


def test_drivers_who_are_not_there_are_not_available():
    reader = PocReader(PocOptions.parse(**OPTIONS))
    whole = {"id": "b", "lat": 46.2, "lon": 6.14, "priority": 3, "minutes_left": 50}
    one = {"id": "d", "lat": 46.2, "lon": 6.14}
    look = reader.look(read({"time": 60, "drivers": [one], "bookings": [whole]}))
    assert np.flatnonzero(look.mask).tolist() == [0, 1]
    none = reader.look(read({"time": 60, "drivers": [], "bookings": [whole]}))
    assert np.flatnonzero(none.mask).tolist() == [0]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("time",), 7, "time: it is 7; it should be a multiple of 5 from 0 to 480"),
        (("time",), 485, "time"),
        (("drivers", 0, "lat"), 47.0, r"drivers\[0\].lat: it is 47"),
        (("drivers", 0, "lon"), 6.9, r"drivers\[0\].lon"),
        (("drivers", 0, "load"), 4, r"drivers\[0\].load: it is 4; it should be 0 to 3"),
        (("drivers", 1, "id"), "d0", r"drivers\[1\].id: 'd0' stands there twice"),
        (("bookings", 0, "priority"), 0, r"bookings\[0\].priority"),
        (("bookings", 0, "minutes_left"), -1, r"bookings\[0\].minutes_left"),
        (("bookings", 0, "minutes_left"), None, r"bookings\[0\].minutes_left: give it or"),
        (("bookings", 0, "window_end"), 100, r"bookings\[0\].minutes_left: give it or"),
        (("bookings", 0, "window"), 1, r"bookings\[0\].window"),
        (("bookings", 0, "taken"), True, r"bookings\[0\].taken"),
        (("drivers",), [{"id": f"d{k}", "lat": 46.2, "lon": 6.1} for k in range(5)], "knows 4"),
    ],
)
def test_states_that_cannot_be(path, value, words):
    env = DispatchPocEnv(**OPTIONS)
    env.reset(seed=4)
    state = state_of(env._core.days)
    place = state
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError, match=words):
        PocReader(PocOptions.parse(**OPTIONS)).look(read(state))
