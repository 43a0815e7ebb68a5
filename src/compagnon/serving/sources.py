"""Where a service's model comes from: a path, or the champion of a registered model."""

import hashlib
from pathlib import Path
from typing import Protocol

from compagnon.errors import InputError
from compagnon.policy.exported import RECORD_FILE
from compagnon.policy.loading import artefact_directory
from compagnon.serving.models import Model, open_model
from compagnon.serving.settings import Settings
from compagnon.store import Store


class Source(Protocol):
    """Says which version should be in service, and loads it."""

    def find(self) -> str:
        """What should be in service now, as something that changes with it."""
        ...

    def load(self, version: str) -> Model:
        """That version, verified and tried.

        Raises:
            InputError: it cannot be used.
        """
        ...


class PathSource:
    """An exported policy on disk; it is looked at again when somebody says so."""

    def __init__(self, path: Path, precision: str) -> None:
        self._path = path
        self._precision = precision

    def find(self) -> str:
        """A hash of what the export says of its files."""
        record = artefact_directory(self._path) / RECORD_FILE
        return hashlib.sha256(record.read_bytes() if record.is_file() else b"").hexdigest()

    def load(self, version: str) -> Model:  # noqa: ARG002
        """The policy as it stands there."""
        return open_model(self._path, self._precision)


def source_of(settings: Settings, store: Store) -> Source:
    """Where the settings say that models come from.

    Raises:
        InputError: no such model is registered.
    """
    if settings.model_name is None:
        return PathSource(settings.path, settings.precision)
    raise InputError('registry')
