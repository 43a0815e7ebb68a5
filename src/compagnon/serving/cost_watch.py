"""Finds out what the play costs of a model that took another's place while the service runs.

The costs of the first model are said before the service starts (`costs`). One that is promoted
later is measured in a process of its own, with little priority, time and memory, while it decides
already: what is found is logged, said by `/v1/policy`, and kept for the next start.

    python -m compagnon.serving.cost_watch DIRECTORY FILE SHA256 PARENT MEMORY CPU_SECONDS WALL
"""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from compagnon.policy.action_selection import GREEDY
from compagnon.policy.loading import artefact_directory
from compagnon.serving import costs
from compagnon.serving.inference import Model
from compagnon.serving.models import open_model
from compagnon.serving.service import Service
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.trial import bound_child, fault_of, kill, run_bounded
from compagnon.store import Store

MEMORY: Final = 8 << 30  # bytes of address space
CPU_SECONDS: Final = 900
WALL_SECONDS: Final = 3_600
_LOOK_SECONDS: Final = 5.0  # between two looks for what another process measures
_SETTINGS: Final = "COMPAGNON_SETTINGS"
_logger = logging.getLogger("compagnon.serving")


class CostWatch:
    """Keeps `Service.cost` true of the model in service.

    Args:
        service: whose models are looked at.
        store: beside whose models the costs are kept.
    """

    def __init__(self, service: Service, store: Store) -> None:
        self._service = service
        self._settings = service.settings
        self._store = store
        self._task: asyncio.Task[None] | None = None
        self._measuring: _Measuring | None = None

    async def begin(self) -> None:
        """Say of the first model what was found before the service started."""
        if self._asks:
            model = self._service.model
            kept = await asyncio.to_thread(self._kept, model)
            self._service.cost = kept or costs.unmeasured(self._settings, model, "not at its start")

    def swapped(self, version: str) -> None:
        """Another model is in service; begin to find out, in the running loop, what it costs."""
        self._end()
        if self._asks:
            model = self._service.model
            self._service.cost = costs.unmeasured(self._settings, model, "it is being measured")
            self._task = asyncio.create_task(self._find_out(model, version))

    async def stop(self) -> None:
        """Look no more."""
        task = self._end()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def _asks(self) -> bool:
        return self._settings.play != GREEDY or self._settings.explore > 0

    def _end(self) -> "asyncio.Task[None] | None":
        if self._measuring is not None:  # of a model that decides no more
            self._measuring.end()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    def _kept(self, model: Model) -> str | None:
        file = costs.place_of(self._settings, self._store, model)
        return costs.kept_words(self._settings, model, file)

    async def _find_out(self, model: Model, version: str) -> None:
        try:
            words = await asyncio.to_thread(self._kept, model)
            while words is None and self._settings.worker:  # the first process measures for all
                await asyncio.sleep(_LOOK_SECONDS)
                words = await asyncio.to_thread(self._kept, model)
            if words is None:
                self._measuring = _Measuring()
                words = await asyncio.to_thread(self._measured, model, version, self._measuring)
        except Exception as error:  # decisions are made all the same
            _logger.exception("what a model's play costs could not be measured")
            words = costs.unmeasured(self._settings, model, type(error).__name__)
        if self._service.model is model:
            self._service.cost = words
            _logger.info("model %s: %s", model.sha256[:12], words)

    def _measured(self, model: Model, version: str, measuring: "_Measuring") -> str:
        """What a child finds; it may take minutes."""
        settings = self._settings
        file = costs.place_of(settings, self._store, model)
        if settings.model_name is None:
            directory = artefact_directory(settings.path)
        else:
            directory = self._store.files / version
        bounds = (MEMORY, CPU_SECONDS, WALL_SECONDS)
        code, said = run_bounded(
            "compagnon.serving.cost_watch",
            (str(directory), str(file), model.sha256),
            *bounds,
            # Not on the command line, where every user of the machine could read a password.
            {_SETTINGS: settings.to_json()},
            measuring.started,
        )
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return str(json.loads(said)["words"])
        memory, seconds, wall = bounds
        return costs.unmeasured(settings, model, fault_of(code, "it", seconds, wall, memory))


class _Measuring:
    """A child that can be ended, also before it has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._over = False

    def started(self, child: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            self._child = child
            if self._over:
                kill(child)

    def end(self) -> None:
        with self._lock:
            self._over = True
            if self._child is not None and self._child.poll() is None:
                kill(self._child)


# ------------------------------------------------------------------ in the child


def main() -> int:
    """Measure within bounds, keep what was found, and say it on stdout."""
    directory, file, sha256, *numbers = sys.argv[1:]
    bound_child(*map(int, numbers))
    os.nice(19)  # decisions come first
    settings = ServiceSettings.from_json(os.environ.pop(_SETTINGS))
    model = open_model(Path(directory), settings.precision, sha256=sha256)
    print(json.dumps({"words": costs.measured_words(settings, model, Path(file))}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
