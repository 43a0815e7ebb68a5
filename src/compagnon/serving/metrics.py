"""What Prometheus sees of a service."""

import os
import weakref
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from compagnon.serving.inference import Model
from compagnon.serving.settings import ServiceSettings

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (
    *(0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.028, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)


class Metrics:
    """Counters of one process; with several workers a scrape shows the one that answered it."""

    def __init__(self, settings: ServiceSettings, model_sha256: str) -> None:
        self.registry = CollectorRegistry()
        self._models: weakref.WeakSet[Model] = weakref.WeakSet()
        self._decisions = Counter(
            "compagnon_decisions", "Decisions that were made", registry=self.registry
        )
        self._explored = Counter(
            "compagnon_decisions_explored", "Decisions that explored", registry=self.registry
        )
        self._deciding = Histogram(
            "compagnon_deciding_seconds",
            "From the parsed request to the drawn action, a request",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = Counter(
            "compagnon_requests", "Answers by route and status", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "compagnon_request_seconds", "From the first byte to the answer", ["route"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._by_answer: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._sent_away: tuple[str, Counter] | None = None
        self._unlogged = Counter(
            "compagnon_unlogged", "Requests turned away because the log could not be written",
            registry=self.registry,
        )  # fmt: skip
        self._swaps = Counter(
            "compagnon_model_swaps", "Models that took another's place", registry=self.registry
        )
        self._refused = Counter(
            "compagnon_model_refusals", "Models that were refused", registry=self.registry
        )
        self._fell_back = Counter(
            "compagnon_arm_fallbacks", "Decisions that the control made for an arm that failed",
            registry=self.registry,
        )  # fmt: skip
        self.active = Gauge(
            "compagnon_requests_active", "Requests under way", registry=self.registry
        )
        self.log_pending = Gauge(
            "compagnon_log_pending", "Decisions that wait to be written", registry=self.registry
        )
        self.log_could_lose = Gauge(
            "compagnon_log_could_lose", "Answered decisions that a crash now would lose",
            registry=self.registry,
        )  # fmt: skip
        loaded = Gauge("compagnon_models_loaded", "Models in memory", registry=self.registry)
        loaded.set_function(lambda: len(self._models))
        self._info = Gauge(
            "compagnon_service", "What is served", ["application", "mode", "worker", "model"],
            registry=self.registry,
        )  # fmt: skip
        self._labels = (settings.application, settings.mode, str(os.getpid()))
        self._served = model_sha256
        self._info.labels(*self._labels, model_sha256).set(1)

    def watch(self, model: Model) -> None:
        """Count a model for as long as anybody holds it."""
        self._models.add(model)

    def swapped(self, model: Model) -> None:
        """Another model decides."""
        self.watch(model)
        self._swaps.inc()
        self._info.remove(*self._labels, self._served)
        self._served = model.sha256
        self._info.labels(*self._labels, self._served).set(1)

    def refused(self) -> None:
        """A model could not be taken."""
        self._refused.inc()

    def fell_back(self) -> None:
        """An arm failed, and the control decided."""
        self._fell_back.inc()

    def decided(self, count: int, nanoseconds: int) -> None:
        """Decisions were made, in one go."""
        self._decisions.inc(count)
        self._deciding.observe(nanoseconds / 1e9)

    def explored(self) -> None:
        """A decision explores."""
        self._explored.inc()

    def unlogged(self) -> None:
        """A decision could not be written."""
        self._unlogged.inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        counters = self._by_answer.get((route, status))
        if counters is None:  # finding them by their labels costs more than counting
            counters = (self._requests.labels(route, str(status)), self._seconds.labels(route))
            self._by_answer[route, status] = counters
        counters[0].inc()
        counters[1].observe(seconds)

    def sent_away(self, route: str) -> None:
        """A request was refused for want of room; how long that took is not looked at."""
        if self._sent_away is None or self._sent_away[0] != route:
            self._sent_away = (route, self._requests.labels(route, "503"))
        self._sent_away[1].inc()

    @property
    def models_loaded(self) -> int:
        """Models that somebody still holds."""
        return len(self._models)

    def text(self) -> bytes:
        """What a scrape gets."""
        return generate_latest(self.registry)
