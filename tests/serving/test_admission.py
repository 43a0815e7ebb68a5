"""While more ask than can be served, some are sent away early, and the others are not slowed."""

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest

from compagnon.serving.admission import (
    BACK_SECONDS,
    FLOOR,
    INTERVAL,
    TARGET,
    TURN,
    Admission,
    Outside,
)
from tests.serving.client import SHOP
from tests.serving.sockets import answer, connected, request
from tests.waiting import wait_until

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def answered(admission, clock, count, waited, seconds=INTERVAL, active=512):
    """So many requests are answered, evenly over so long, each after having waited the same."""
    for _ in range(count):
        clock.now += 1.0001 * seconds / count  # sums of fractions are a little less
        admission.ended(waited, active)


def test_a_burst_is_let_in_as_a_whole(clock):
    admission = Admission(512, clock)
    assert not admission.is_full(511, clock.now)
    assert admission.is_full(512, clock.now)
    answered(admission, clock, 200, TARGET / 2)
    assert admission.limit == 512


def test_a_queue_that_stands_shrinks_to_what_is_answered_in_time(clock):
    admission = Admission(512, clock)
    answered(admission, clock, 101, 0.4)  # a thousand a second, and nobody waited less
    assert admission.limit == pytest.approx(1000 * TARGET, rel=0.03)
    assert admission.is_full(admission.limit, clock.now)
    answered(admission, clock, 2, 5.0)  # a slow disk: some are always let in
    assert admission.limit == FLOOR


def test_one_that_waited_little_shows_that_no_queue_stands(clock):
    admission = Admission(512, clock)
    answered(admission, clock, 50, 0.4, INTERVAL / 2)
    admission.ended(0.01, 512)
    answered(admission, clock, 50, 0.4, INTERVAL)
    assert admission.limit == 512


def test_few_who_wait_long_are_no_queue(clock):
    admission = Admission(512, clock)
    for _ in range(100):  # a slow disk, or a processor that others use
        answered(admission, clock, 2, 5.0, active=FLOOR - 1)
    assert admission.limit == 512
    begun = clock.now
    clock.now += 100 * TURN
    assert not any(admission.is_full(active, begun) for active in range(FLOOR))
    answered(admission, clock, 2, 5.0, active=FLOOR)  # the breach: one more is a queue
    assert admission.limit == FLOOR


def test_what_a_burst_taught_is_forgotten_while_nobody_comes(clock):
    admission = Admission(512, clock)
    answered(admission, clock, 3, 5.0)
    assert admission.limit == FLOOR
    clock.now += INTERVAL * 0.9
    assert not admission.is_full(0, clock.now)
    assert admission.limit == FLOOR
    clock.now += INTERVAL * 0.2
    assert not admission.is_full(0, clock.now)
    assert admission.limit == 512
    clock.now += 60  # who is under way all the time is somebody: nothing is forgotten
    assert not admission.is_full(1, clock.now)
    answered(admission, clock, 1, 60.0)
    assert admission.rate == pytest.approx(1 / 60, rel=0.01)


def test_an_idle_time_counts_in_no_rate(clock):
    admission = Admission(512, clock)
    clock.now += 3600
    assert not admission.is_full(0, clock.now)
    answered(admission, clock, 101, 0.4)
    assert admission.rate == pytest.approx(1010, rel=0.01)
    assert admission.limit == pytest.approx(1000 * TARGET, rel=0.03)


def test_the_limit_grows_again_up_to_the_most(clock):
    admission = Admission(100, clock)
    answered(admission, clock, 101, 5.0)
    answered(admission, clock, 3, 5.0)
    small = admission.limit
    assert small == FLOOR
    for _ in range(60):
        before = admission.limit
        answered(admission, clock, 100, 0.01)
        assert before <= admission.limit <= 100
    assert admission.limit == 100


def test_who_comes_late_in_a_long_turn_of_the_loop_is_sent_away(clock):
    admission, soon = Admission(512, clock), []
    begun = admission.begin(soon.append)
    clock.now += TURN * 1.01
    for _ in range(FLOOR):  # however long it takes to begin so many
        assert not admission.is_full(0, begun)
    assert admission.begin(soon.append) == begun
    assert admission.is_full(0, begun)
    assert len(soon) == 1
    soon.pop()()  # the next turn
    assert not admission.is_full(0, admission.begin(soon.append))


class Loop:
    """Keeps what is to be called later."""

    def __init__(self):
        self.later = []

    def call_later(self, _, what, *arguments):
        self.later.append((what, arguments))

    def turn(self):
        for what, arguments in [self.later.pop() for _ in list(self.later)]:
            what(*arguments)


class Connection:
    def __init__(self, name, heard, said=True):
        self.name, self.heard, self.said = name, heard, said

    def listen_again(self):
        self.heard.append(self.name)
        return self.said


def test_those_outside_are_heard_in_their_order_as_others_are_answered(clock):
    admission, loop, heard, active = Admission(512, clock), Loop(), [], [FLOOR]
    outside = Outside(admission, lambda: active[0])
    for name in range(6):
        outside.add(Connection(name, heard, said=name != 1), loop)
    loop.turn()
    assert heard == []  # nobody was answered
    answered(admission, clock, 8, 0.1)
    loop.turn()  # of eight let in, two from outside
    assert heard == [0, 1, 2]  # 1 had nothing to say: it takes nobody's turn
    loop.turn()
    assert len(outside) == 3
    answered(admission, clock, 1, 0.1)
    loop.turn()
    assert heard == [0, 1, 2, 3]  # nor were two of the eight forgotten
    active[0] = 0  # nothing is left to do
    loop.turn()
    assert heard == [0, 1, 2, 3, 4, 5]
    assert len(outside) == 0
    assert loop.later == []


@pytest.mark.parametrize("under_way", [FLOOR - 4, 2 * FLOOR])  # in fast mode they are few
def test_a_good_answer_costs_a_third_of_a_refusal_when_all_ask_again_at_once(clock, under_way):
    """There is always more than can be let in."""
    admission, loop = Admission(512, clock), Loop()
    active, counts = [under_way], {"refused": 0, "heard": 0}
    outside = Outside(admission, lambda: active[0])

    class Rude(Connection):
        def listen_again(self):
            counts["heard"] += 1
            active[0] += 1
            return True

    for name in range(500):
        outside.add(Rude(name, []), loop)
    for _ in range(200):
        answered(admission, clock, 42, 0.1)
        active[0] -= 42
        loop.turn()
        room = under_way - active[0]
        active[0] += room  # of the 42 who ask again these find room
        for name in range(42 - room):
            counts["refused"] += 1
            outside.add(Rude(name, []), loop)
    assert counts["refused"] / (200 * 42) == pytest.approx(1 / 3, abs=0.02)
    assert counts["heard"] == pytest.approx(counts["refused"], rel=0.02)


def test_no_more_are_heard_than_may_come_in(clock):
    admission, loop, heard = Admission(3, clock), Loop(), []
    outside = Outside(admission, lambda: 1)
    for name in range(6):
        outside.add(Connection(name, heard), loop)
        loop.turn()
        assert heard == []  # somebody was sent away just now: there is no room
    loop.turn()
    assert heard == [0, 1]


def test_whoever_is_sent_away_is_told_when_its_turn_will_be(clock):
    admission, loop = Admission(512, clock), Loop()
    outside = Outside(admission, lambda: 0)
    assert outside.seconds() == 1
    answered(admission, clock, 10, 0.1)
    for name in range(240):
        outside.add(Connection(name, []), loop)
    assert outside.seconds() == 8  # 240 at a hundred a second, of whom two thirds are others
    for name in range(100_000):
        outside.add(Connection(name, []), loop)
    assert outside.seconds() == BACK_SECONDS


def test_who_asks_again_at_once_is_heard_at_its_turn(local, monkeypatch):
    front = local.parts.app
    full = [True]
    monkeypatch.setattr(front.admission, "is_full", lambda *_: full[0])
    monkeypatch.setattr(front.admission, "limit", 0)  # nobody outside has a turn
    with connected(local) as connection:
        connection.sendall(request())
        status, headers, body = answer(connection)
        assert (status, dict(headers)["retry-after"]) == (503, "1")
        assert ("x-content-type-options", "nosniff") in headers
        assert body == {"error": "too many requests at a time", "field": None}
        connection.sendall(request(id="again", state=SHOP) * 3)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        assert local.parts.repository.log.committed == 0
        full[0] = False
        monkeypatch.undo()
        connection.settimeout(20)
        for _ in range(3):
            status, _, body = answer_of(connection)
            assert (status, body["id"]) == (200, "again")
    counted = local.ask("GET", "/metrics").text
    assert 'route="/v1/decide",status="503"} 1.0' in counted
    assert front.active == 0


@pytest.mark.parametrize("fast_path", [True, False])
def test_who_sends_slowly_is_no_queue(local, monkeypatch, fast_path):
    admission, seen = local.parts.app.admission, []
    monkeypatch.setattr(admission, "ended", lambda seconds, _: seen.append(seconds))
    with connected(local, fast_path=fast_path) as connection:
        connection.sendall(request()[:-5])
        wait_until(lambda: local.parts.app.active == 1)
        time.sleep(0.5)
        connection.sendall(request()[-5:])
        assert answer(connection)[0] == 200
        wait_until(lambda: seen)
    assert seen[0] < 0.5
    local.decide()  # and who sends at once is counted too
    wait_until(lambda: len(seen) == 2)


def test_how_many_are_under_way_is_told(local):
    local.parts.app._active += 3
    assert "compagnon_requests_active 4.0" in local.ask("GET", "/metrics").text  # itself too
    local.parts.app._active -= 3


def answer_of(connection):
    """The next of several answers that may come together."""
    data = b""
    while not data.endswith(b"}"):
        data += connection.recv(1)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1)
    return int(head[9:12]), head, json.loads(body)


def test_who_left_while_it_waited_is_forgotten(local, monkeypatch):
    front = local.parts.app
    monkeypatch.setattr(front.admission, "is_full", lambda *_: True)
    monkeypatch.setattr(front.admission, "limit", 0)
    with connected(local) as connection:
        connection.sendall(request())
        assert answer(connection)[0] == 503
        wait_until(lambda: len(front.outside) == 1)
        connection.sendall(request())  # and asked again at once, before it left
        connection.close()
        wait_until(front.outside._waiting[0].transport.is_closing)
        monkeypatch.undo()
        wait_until(lambda: len(front.outside) == 0)
        assert local.parts.repository.log.committed == 0
    assert local.decide()["action"] >= 0


@pytest.mark.slow  # it starts a service and some clients
def test_the_benchmark_runs(artefact, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("overload", BENCHMARKS / "overload.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "overload", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["overload.py", str(artefact), "--quick"])
    assert module.main() == 0
    assert "five times the peak's rate" in capsys.readouterr().out
    turn = [{"goodput": 1000.0}, {"goodput": 850.0}, {"goodput": 950.0}]
    assert module.kept([turn], 1) == 0.85 < module.KEEPS < module.kept([turn], 2)
