"""A model that never ends or asks for too much is refused before it runs in the service."""

import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.serving import costs, trial
from compagnon.serving.reloader import Reloader
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.trial import open_tried
from compagnon.store import open_store, registry
from compagnon.store.migrating import upgrade
from tests.serving.client import served
from tests.serving.spoilt import endless, greedy
from tests.serving.support import exported
from tests.waiting import wait_until


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Nothing was tried before on this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trials(monkeypatch):
    """The trials that would be made, of which none is."""
    made = []
    monkeypatch.setattr(trial, "_try", lambda directory, *_: made.append(directory))
    return made


@pytest.fixture
def registered(tmp_path):
    """A registry of a good version, which is champion, and one that never ends."""
    store = open_store(tmp_path / "decisions.db", create=True, check=False)
    upgrade(store)
    good = registry.add(store, exported(tmp_path / "good"), model="shop")
    bad = registry.add(store, endless(tmp_path / "endless"), model="shop")
    registry.move(store, "shop", "champion", "1")
    yield store, good, bad
    store.close()


def test_what_passed_is_tried_once(fresh, tmp_path, monkeypatch):
    policy = exported(tmp_path / "policy")
    model = open_tried(policy)
    assert list((tmp_path / "cache" / "compagnon" / "tried").iterdir())

    def never(*_):
        raise AssertionError("it was tried again")

    monkeypatch.setattr(trial, "_try", never)
    assert open_tried(policy).sha256 == model.sha256
    other = exported(tmp_path / "other", scale=0.5)
    with pytest.raises(AssertionError, match="tried again"):  # by its hash, not for ever
        open_tried(other)


def test_where_nothing_can_be_noted_it_is_tried_again(fresh, tmp_path, trials):
    (tmp_path / "cache").write_text("no folder")
    policy = exported(tmp_path / "policy")
    open_tried(policy)
    open_tried(policy)
    assert len(trials) == 2


def test_one_that_asks_for_too_much_memory_is_refused(fresh, tmp_path):
    with pytest.raises(InputError, match=r"is refused: on a trial: .*may use 4\.0 GB"):
        open_tried(greedy(tmp_path / "greedy"))


@pytest.mark.full
def test_one_that_never_ends_is_refused(fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "CPU_SECONDS", 3)
    with pytest.raises(InputError, match="more than 3 s of processor time"):
        open_tried(endless(tmp_path / "endless"))
    assert not (tmp_path / "cache" / "compagnon").exists()
    assert not trial._children


def test_one_that_breaks_the_child_is_refused():
    for code, said, words in (
        (-11, b"", r"broke off \(-11\)"),
        (0, b"", r"broke off \(0\)"),
        (0, b"{}", r"broke off \(0\)"),
        (-9, b'{"good": true}', "did not end within 120 s"),
        (0, b'{"refused": "so"}', "^so$"),
    ):
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(trial._fault(code, said, 10, 120, 4 << 30))
    assert trial._fault(0, b'{"good": true}\n', 10, 120, 4 << 30) is None


def test_a_file_that_was_changed_after_its_trial_is_not_opened(fresh, tmp_path, monkeypatch):
    policy = exported(tmp_path / "policy")

    def change(*_):
        exported(policy, scale=0.5)

    monkeypatch.setattr(trial, "_try", change)
    with pytest.raises(InputError, match="was changed meanwhile"):
        open_tried(policy)


@pytest.mark.full
def test_it_may_not_be_promoted(registered, fresh, capsys, monkeypatch):
    store, good, _ = registered
    monkeypatch.setattr(trial, "CPU_SECONDS", 3)
    assert main(["registry", "promote", "shop", "2"]) == 2
    assert "is refused: its trial took more than 3 s" in capsys.readouterr().err
    assert registry.pointer(store, "shop", "champion").sha256 == good.sha256
    assert main(["registry", "promote", "shop", "1", "--role", "challenger"]) == 0


@pytest.mark.full
def test_a_service_does_not_start_with_it(fresh, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trial, "CPU_SECONDS", 3)
    words = ["serve", str(endless(tmp_path / "endless")), "--port", "0"]
    assert main(words) == 2
    assert "is refused: its trial took more than 3 s" in capsys.readouterr().err


def test_it_is_refused_once_and_the_champion_stays(registered, fresh, monkeypatch):
    store, good, bad = registered
    tried = []
    monkeypatch.setattr(trial, "_try", lambda *_: None)
    settings = ServiceSettings(policy="registry:shop", db=store.address, watch_seconds=3600)
    with served(settings) as client:

        def refuse(directory, precision, size):
            tried.append(directory.name)
            raise InputError(f"{directory} is refused: its trial took more than 10 s")

        monkeypatch.setattr(trial, "_try", refuse)
        registry.move(store, "shop", "champion", bad.sha256)  # by a program, which tries nothing
        for _ in range(3):
            assert not client.run(client.parts.reloader.look())
        assert tried == [bad.sha256]
        assert "its trial took more than 10 s" in client.get("/v1/policy")["refused"]
        assert client.decide()["model"] == good.sha256
        assert not client.run(client.parts.reloader.look(again=True))  # somebody asks for it
        assert tried == [bad.sha256] * 2
        registry.move(store, "shop", "champion", good.sha256)
        client.run(client.parts.reloader.look())
        assert client.get("/v1/policy")["refused"] is None


def test_the_end_of_a_service_ends_a_trial(registered, fresh, monkeypatch):
    store, _, bad = registered
    monkeypatch.setattr(trial, "CPU_SECONDS", 3600)
    monkeypatch.setattr(trial, "WALL_SECONDS", 3600)
    settings = ServiceSettings(policy="registry:shop", db=store.address, watch_seconds=0.01)
    with served(settings):
        registry.move(store, "shop", "champion", bad.sha256)
        wait_until(lambda: trial._children)
    wait_until(lambda: not trial._children)


def test_whatever_goes_wrong_with_a_version_is_said_and_not_tried_again(local):
    loaded = []

    def load(version):
        loaded.append(version)
        raise MemoryError("no room")

    found = ["second"]

    async def find():
        return found[0]

    reloader = Reloader(local.parts.service, find, load, 3600, "first")
    for _ in range(3):
        assert not local.run(reloader.look())
    assert loaded == ["second"]
    assert local.parts.service.refused == "MemoryError: no room"
    found[0] = "third"
    assert not local.run(reloader.look())
    assert loaded == ["second", "third"]


def test_what_its_play_costs_is_measured_after_its_trial(fresh, tmp_path, monkeypatch):
    def refuses(directory, *_):
        raise InputError(f"{directory} is refused")

    monkeypatch.setattr(trial, "_try", refuses)
    policy = endless(tmp_path / "endless")  # it would never come back
    with pytest.raises(InputError, match="is refused"):
        costs.cost_words(ServiceSettings(policy=str(policy), explore=0.05))
