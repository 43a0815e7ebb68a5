"""Whole processes: killed, ended, several at once, and started where they cannot be."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import httpx
import pytest

from compagnon.cli import main
from compagnon.serving.settings import ServiceSettings
from compagnon.store import open_store
from compagnon.store.log import find
from tests.serving.client import SHOP, listening, served
from tests.serving.processes import Process, burst, serving, start
from tests.serving.support import exported
from tests.waiting import wait_until


def shop(k):
    return {"id": f"k{k}", "state": {**SHOP, "raw": k % 50}}


def check_log(db, answered):
    """Every acknowledged decision is in the log as it was answered; how many are missing."""
    store = open_store(db)
    missing = 0
    for body, answer in answered:
        row = find(store, body["id"])
        if row is None:
            missing += 1
        else:
            assert (row.action, row.probability) == (answer["action"], answer["probability"])
    store.close()
    return missing


def kill_in_a_burst(artefact, db, mode, at):
    with serving(str(artefact), "--db", db, "--mode", mode) as process:
        after = lambda count: process.kill() if count == at else None  # noqa: E731
        answered, refused = asyncio.run(burst(process.address, 5000, shop, after=after))
        assert at <= len(answered) < 5000
        assert not refused  # 16 at a time are no queue, on the busiest machine
    return check_log(db, answered), len(answered)


def test_kill_9_loses_no_acknowledged_decision(artefact, db):
    for kill in range(1 if "postgres" in db else 2):
        missing, _ = kill_in_a_burst(artefact, db, "durable", at=40 + 7 * kill)
        assert missing == 0


@pytest.mark.slow
def test_fifty_kills_lose_no_acknowledged_decision(artefact, db):
    kills = int(os.environ.get("COMPAGNON_KILLS", "50"))
    total = 0
    for kill in range(kills):
        # The same ids again: what was answered before the last kill is found, not made anew.
        missing, answered = kill_in_a_burst(artefact, db, "durable", at=20 + 13 * kill)
        assert missing == 0
        total += answered
    print(f"{kills} kills, {total:,} acknowledged decisions, 0 missing")


@pytest.mark.slow
def test_kill_9_in_fast_mode_loses_no_more_than_the_bound(artefact, sqlite):
    missing, answered = kill_in_a_burst(artefact, sqlite, "fast", at=500)
    assert missing <= 2048
    print(f"{missing} of {answered} lost")


def test_a_new_model_on_sighup_then_the_end_answers_what_is_under_way(artefact, sqlite):
    with serving(str(artefact), "--db", sqlite, "--mode", "fast") as process:
        first = httpx.get(f"{process.address}/v1/policy", timeout=60).json()["model"]
        shutil.rmtree(artefact)
        exported(artefact, scale=0.5)
        process.popen.send_signal(signal.SIGHUP)  # the model is looked at again

        def changed():
            assert process.popen.poll() is None
            return httpx.get(f"{process.address}/v1/policy", timeout=60).json()["model"] != first

        wait_until(changed)

        def end(count):
            if count == 100:
                process.popen.terminate()

        answered, refused = asyncio.run(burst(process.address, 5000, shop, after=end))
        assert process.popen.wait(60) == 0
        assert 100 <= len(answered) < 5000
        assert not refused  # whoever was let in was answered
    assert check_log(sqlite, answered) == 0  # even in fast mode
    assert "every answered decision is in the log" in "".join(process.lines)


def holds_hang_ups(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)
    return bool(blocked & 1 << (signal.SIGHUP - 1))


@pytest.mark.full
def test_hang_ups_before_it_is_ready_do_not_end_it(artefact, sqlite):
    process = Process(start("serve", str(artefact), "--db", sqlite, "--port", "0"))
    try:
        wait_until(lambda: holds_hang_ups(process.popen.pid))
        for _ in range(3):
            process.popen.send_signal(signal.SIGHUP)
        for line in process.popen.stdout:
            process.lines.append(line)
            if "listening on" in line:
                break
        address = re.search(r"(http://\S+);", process.lines[-1])[1]
        assert httpx.post(f"{address}/v1/decide", json=shop(1), timeout=60).status_code == 200
        assert process.end() == 0
    finally:
        process.kill()


@pytest.mark.full
def test_hang_ups_before_they_are_ready_do_not_end_workers(artefact, postgres):
    from compagnon.store.migrating import upgrade

    store = open_store(postgres, check=False)
    upgrade(store)
    store.close()
    words = ("serve", str(artefact), "--db", postgres, "--port", "0", "--workers", "2")
    process = Process(start(*words))
    pid = process.popen.pid
    try:
        children: set[int] = set()
        while len(children) < 2:
            assert process.popen.poll() is None
            found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in {int(one) for one in found} - children:
                os.kill(child, signal.SIGHUP)
                children.add(child)
        process.popen.send_signal(signal.SIGHUP)
        for line in process.popen.stdout:
            process.lines.append(line)
            if "listening on" in line:
                break
        assert "listening on" in process.lines[-1], process.lines
        assert process.end() == 0
        assert "another is started" not in "".join(process.lines)
    finally:
        process.kill()


@pytest.mark.full
def test_two_services_on_one_postgresql_never_give_one_id_two_actions(artefact, postgres):
    from compagnon.store.migrating import upgrade

    store = open_store(postgres, check=False)
    upgrade(store)
    store.close()
    with (
        serving(str(artefact), "--db", postgres) as one,
        serving(str(artefact), "--db", postgres, "--play", "sampled") as other,
    ):

        async def race():
            return await asyncio.gather(
                burst(one.address, 300, shop), burst(other.address, 300, shop)
            )

        (first, none), (second, nothing) = asyncio.run(race())
    assert not none
    assert not nothing
    first_actions = {body["id"]: answer for body, answer in first}
    second_actions = {body["id"]: answer for body, answer in second}
    assert len(first_actions) == 300
    assert first_actions == second_actions
    assert check_log(postgres, first) == 0


def test_two_applications_on_one_postgresql_never_answer_with_each_others_decisions(
    artefact, postgres
):
    from compagnon.store.migrating import upgrade

    store = open_store(postgres, check=False)
    upgrade(store)
    store.close()
    with (
        served(ServiceSettings(policy=str(artefact), db=postgres, application="north")) as north,
        served(ServiceSettings(policy=str(artefact), db=postgres, application="south")) as south,
        served(
            ServiceSettings(policy=str(artefact), db=postgres, application="south", mode="fast")
        ) as fast,
    ):
        first = north.decide(id="a")
        assert north.decide(id="a") == first
        for other in (south, fast):
            said = other.decide(409, id="a")
            assert (said["field"], "another application" in said["error"]) == ("id", True)
            body = {"decisions": [{"state": SHOP, "id": "a"}]}
            assert other.ask("POST", "/v1/decide/batch", json=body).status_code == 409
            other.get("/v1/decisions/a", 404)
            response = other.ask("PUT", "/v1/outcomes/a/profit", json={"value": 1})
            assert response.status_code == 404
        assert north.get("/v1/decisions/a")["action"] == first["action"]
        response = north.ask("PUT", "/v1/outcomes/a/profit", json={"value": 1})
        assert response.status_code == 200


def test_the_address_of_a_database_is_never_printed_with_its_password(
    artefact, postgres, monkeypatch, tmp_path, capsys
):
    from compagnon.store.migrating import upgrade

    store = open_store(postgres, check=False)
    upgrade(store)
    store.close()
    mark = "&" if "?" in postgres else "?"
    secret = postgres.replace("postgres@", "postgres:s3cr3t@", 1) + f"{mark}passfile=/s3cr3t/file"
    monkeypatch.setenv("COMPAGNON_DB", secret)
    words = ["serve", str(artefact), "--port", "0"]
    assert main([*words, "--host", "0.0.0.0"]) == 2
    (tmp_path / "address").write_text(secret.replace(":5432", ":1") + "\n")
    assert main([*words, "--db", f"@{tmp_path / 'address'}"]) == 2
    monkeypatch.setenv("COMPAGNON_DB", f"@{tmp_path / 'address'}")
    assert main(["keys", "list"]) == 2
    said = " ".join("".join(capsys.readouterr()).split())
    assert "compagnon keys create --scope decide --db postgresql://postgres:***@" in said
    assert said.count("cannot be reached") == 2
    assert "s3cr3t" not in said


@pytest.mark.full
def test_several_workers_share_one_port(artefact, postgres):
    from compagnon.store.migrating import upgrade

    store = open_store(postgres, check=False)
    upgrade(store)
    store.close()
    with serving(str(artefact), "--db", postgres, "--workers", "2") as process:
        workers = set()
        for _ in range(200):
            text = httpx.get(f"{process.address}/metrics", timeout=60).text
            workers |= {line for line in text.splitlines() if line.startswith("compagnon_service")}
            if len(workers) == 2:
                break
        assert len(workers) == 2
        answered, refused = asyncio.run(burst(process.address, 50, shop))
        assert (len(answered), refused) == (50, [])
        assert process.end() == 0
    assert check_log(postgres, answered) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--port", "PORT"), "port PORT of 127.0.0.1 is in use"),
        (("--host", "0.0.0.0", "--port", "0"), "compagnon keys create"),
        (("--workers", "2"), "SQLite has one writer"),
        (("--explore", "2"), "--explore 2"),
        (("--epsilon", "0.1"), "--epsilon has become --explore"),
        (("--db", "postgresql://nobody@127.0.0.1:1/none"), "cannot be reached"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--play", "sampled")])
def test_what_cannot_be_served_says_why_and_nothing_before(
    artefact, sqlite, words, more, sentence, capsys
):
    """Neither how it would play, nor what that costs: nothing is played for what is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = tuple(word.replace("PORT", port) for word in words)
        if "--db" not in words:
            words = (*words, "--db", sqlite)
        assert main(["serve", str(artefact), *words, *more]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert sentence.replace("PORT", port) in " ".join(said.split())


@pytest.mark.parametrize("more", [(), ("--explore", "0.1")])
def test_a_policy_that_is_not_there_is_refused_before_anything_is_said(tmp_path, capsys, more):
    db = tmp_path / "log.db"
    assert main(["serve", str(tmp_path / "nope"), "--db", f"sqlite:///{db}", *more]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert "nope" in said
    assert not db.exists()


def test_a_database_that_another_service_logs_to_is_refused_before_anything_is_played(
    artefact, sqlite, capsys
):
    from compagnon.store.migrating import upgrade

    store = open_store(sqlite, create=True, check=False)
    upgrade(store)
    with contextlib.closing(store), store.only_log():
        words = ["--db", sqlite, "--port", "0", "--play", "sampled"]
        assert main(["serve", str(artefact), *words]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert "already takes the decisions of another service" in " ".join(said.split())


def test_a_head_that_does_not_end_is_hung_up_on(local):
    with listening(local) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(b"POST /v1/decide HTTP/1.1\r\nx: ")
            with contextlib.suppress(OSError):
                for _ in range(200):
                    raw.sendall(b"y" * 4096)
            raw.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                answer = raw.recv(4096)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 431")
                assert raw.recv(4096) == b""
        assert httpx.get(f"{address}/healthz").status_code == 200
