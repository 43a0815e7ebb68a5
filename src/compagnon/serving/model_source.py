"""Where a service's model comes from: a path, or the champion of a registered model."""

import hashlib
from pathlib import Path
from typing import Protocol

from compagnon.errors import InputError
from compagnon.policy.exported import RECORD_FILE
from compagnon.policy.loading import artefact_directory
from compagnon.serving.inference import Model
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.trial import open_tried
from compagnon.store import Store, registry
from compagnon.store.lineage import Version


class ModelSource(Protocol):
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
        return open_tried(self._path, self._precision)


class RegistrySource:
    """The champion of a registered model."""

    def __init__(self, store: Store, model: str, precision: str) -> None:
        self._store = store
        self._model = model
        self._precision = precision

    def find(self) -> str:
        """The champion's hash.

        Raises:
            InputError: there is none.
        """
        found = registry.pointer(self._store, self._model, "champion").sha256
        if found is None:
            known = sorted({one.model for one in registry.listed(self._store)})
            raise InputError(
                f"the registry has no champion of {self._model!r}: `compagnon registry add`, then "
                f"`compagnon registry promote` (models: {', '.join(known) or 'none yet'})"
            )
        return found

    def load(self, version: str) -> Model:
        """The version of that hash; its files are those that were registered."""
        return open_version(
            self._store, registry.version(self._store, self._model, version), self._precision
        )


def open_version(store: Store, version: Version, precision: str) -> Model:
    """A registered version, verified and tried.

    Raises:
        InputError: a file is missing, or is not the one that was registered.
    """
    directory = registry.checked_files(store, version)
    model = open_tried(directory, precision)
    # The files may have been changed, with the record of their hashes, since they were looked at.
    if model.sha256 not in version.files.values():
        raise InputError(f"{directory}: what was loaded is not what was registered")
    return model


def source_of(settings: ServiceSettings, store: Store) -> ModelSource:
    """Where the settings say that models come from."""
    if settings.model_name is None:
        return PathSource(settings.path, settings.precision)
    return RegistrySource(store, settings.model_name, settings.precision)
