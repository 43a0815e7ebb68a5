"""Keeps the model in service up to date: looks, loads and verifies aside, then swaps.

Nothing of it happens in a request's way: files are read, hashed and tried in a thread, and the
swap itself is one assignment. A model that is refused leaves the one in service where it is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from compagnon.errors import InputError
from compagnon.serving.inference import Model
from compagnon.serving.service import Service
from compagnon.serving.trial import end_trials
from compagnon.store.errors import StoreUnavailable

_logger = logging.getLogger("compagnon.serving")


class Reloader:
    """Watches where the model comes from.

    Args:
        service: whose model is kept up to date.
        find: says which version should be in service now; any value that can be compared.
        load: loads, verifies and tries that version.
        seconds: between two looks.
        serving: the version that is in service.
        swapped: is told the version of a model that was taken.
    """

    def __init__(
        self,
        service: Service,
        find: Callable[[], Awaitable[Any]],
        load: Callable[[Any], Model],
        seconds: float,
        serving: Any,
        swapped: Callable[[Any], object] = lambda _: None,
    ) -> None:
        self._service = service
        self._find = find
        self._load = load
        self._seconds = seconds
        self._swapped = swapped
        self._seen = serving  # what was found last, taken or refused
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, in the running loop."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        end_trials()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self, again: bool = False) -> bool:
        """Take another model if there is one; whether one was taken.

        Args:
            again: try also a version that was refused before.
        """
        async with self._one_at_a_time:
            found: Any = None
            try:
                found = await self._find()
                if found == self._seen and not (again and self._service.refused):
                    return False
                model = await asyncio.to_thread(self._load, found)
                self._seen = found
                if model.sha256 == self._service.model.sha256:
                    self._service.refused = None
                    return False
                self._service.swap(model)
            except (InputError, OSError) as error:
                self._seen = found
                self._refuse(str(error))
                return False
            except StoreUnavailable as error:
                _logger.warning("the registry cannot be read now: %s", error)
                return False
            except Exception as error:  # whatever it is, the same version would do it again
                _logger.exception("a model could not be taken")
                self._seen = found
                self._refuse(f"{type(error).__name__}: {error}")
                return False
            _logger.info("model %s is in service", model.sha256[:12])
            self._swapped(found)
            return True

    def _refuse(self, reason: str) -> None:
        if reason == self._service.refused:
            return  # it was said, and is looked at every second
        self._service.refused = reason
        self._service.metrics.refused()
        _logger.error("a model was refused, the one in service stays: %s", reason)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except Exception:  # the next look may do better
                _logger.exception("looking for another model failed")
