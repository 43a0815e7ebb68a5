"""How a service is set up: everything that its command line can say."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec

from compagnon.errors import InputError
from compagnon.policy.action_selection import PLAYS, Nearness, Play, PlayName
from compagnon.policy.manifest import Head
from compagnon.store.address import DEFAULT, is_file

REGISTRY: Final = "registry:"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
Mode = Literal["durable", "fast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """One service.

    Attributes:
        policy: the path of an exported policy or of a run, or ``registry:NAME`` for the champion
            of a registered model.
        db: where decisions, keys and the registry are kept.
        mode: ``durable`` answers after the decision is on the disk, ``fast`` before.
        play: ``greedy`` takes the policy's own best action, as evaluations do; ``sampled`` draws
            from its probabilities.
        explore: the share of decisions that explore among what is nearly as good as the best.
        explore_floor, explore_margin, explore_spread: how near that is, see
            `policy.action_selection.Nearness`.
        explore_cap: explored decisions of one episode, at most; 0 for no limit.
        application: whose decisions these are; the draw depends on it.
        precision: ``fp32`` or ``int8``.
        cost_episodes: that are played to say what sampling and exploring cost; 0 does without.
        workers: processes; above 1 they need PostgreSQL.
        worker: which of them this one is, counted from 0.
        rate: decisions a second for each key, 0 for no limit.
        max_body: bytes of a request.
        max_pending: requests at a time; more are told to come back.
        max_connections: clients at a time; more are told to come back.
        keep_alive: seconds that a connection stays open without a request. A proxy that keeps its
            own connections for less never finds one closed.
        fast_path: single decisions go the fast path, where that can be used; the answers are the
            same without it.
        watch_seconds: how often the registry's champion is looked up.
        drain_seconds: what requests under way get when the service ends.
    """

    policy: str
    host: str = "127.0.0.1"
    port: int = 8000
    db: str = DEFAULT
    mode: Mode = "durable"
    play: PlayName = "greedy"
    explore: float = 0.0
    explore_floor: float = Nearness().floor
    explore_margin: float = Nearness().margin
    explore_spread: float = Nearness().spread
    explore_cap: int = 10
    cost_episodes: int = 100
    application: str = "default"
    precision: str = "fp32"
    workers: int = 1
    worker: int = 0
    rate: float = 10_000.0
    max_body: int = 1_000_000
    max_pending: int = 512
    max_connections: int = 4_096
    keep_alive: float = 75.0
    fast_path: bool = True
    watch_seconds: float = 1.0
    drain_seconds: float = 20.0

    def __post_init__(self) -> None:
        kind, _, path = self.policy.partition(":")
        if path and kind in ("onnx", "onnx-int8"):
            precision = " --precision int8" if kind == "onnx-int8" else ""
            raise InputError(
                f"{self.policy}: the policy itself is served, which holds what was exported from "
                f"it: compagnon serve {path}{precision}"
            )
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                option = name.replace("_", "-")
                raise InputError(
                    f"--{option} {getattr(self, name):g}: give a number from {low:g} to {high:g}"
                )
        if self.mode not in ("durable", "fast"):
            raise InputError(f"--mode {self.mode}: use durable or fast")
        if self.play not in PLAYS:
            raise InputError(f"--play {self.play}: use {' or '.join(PLAYS)}")
        if not self.application or len(self.application) > 100:
            raise InputError("--application: give a name of 1 to 100 characters")
        if self.workers > 1 and is_file(self.db):
            raise InputError(
                f"--workers {self.workers}: SQLite has one writer; use one worker, or PostgreSQL "
                "(--db postgresql://...)"
            )

    def play_of(self, head: Head) -> Play:
        """How a policy with this head is played."""
        nearness = Nearness(self.explore_floor, self.explore_margin, self.explore_spread)
        return Play(self.play, self.explore, nearness.of(head) if self.explore else None)

    @property
    def model_name(self) -> str | None:
        """The registered model whose champion is served; None where a path is."""
        return self.policy[len(REGISTRY) :] if self.policy.startswith(REGISTRY) else None

    @property
    def path(self) -> Path:
        """Where the policy stands, when it is no registered one."""
        return Path(self.policy)

    @property
    def loopback(self) -> bool:
        """Nobody but this machine can reach the service."""
        return self.host in LOOPBACK

    def to_json(self) -> str:
        """For a worker's command line."""
        return msgspec.json.encode(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        given: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        return cls(**{field.name: given[field.name] for field in fields(cls)})


_RANGES: Final = (
    ("port", 0, 65_535),
    ("explore", 0, 1),
    ("explore_floor", 0, 1),
    ("explore_margin", 0, 1),
    ("explore_spread", 0, 1),
    ("explore_cap", 0, 1_000_000),
    ("cost_episodes", 0, 100_000),
    ("workers", 1, 64),
    ("rate", 0, 1e9),
    ("max_body", 1_000, 100_000_000),
    ("max_pending", 1, 100_000),
    ("max_connections", 1, 100_000),
    ("keep_alive", 0.1, 86_400),
    ("watch_seconds", 0.01, 3_600),
    ("drain_seconds", 0, 3_600),
)
