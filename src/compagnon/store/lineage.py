"""What a version of a model was made from: what its manifest says, and whether that is here too."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from compagnon.errors import InputError

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Version(NamedTuple):
    """One version of a model.

    Attributes:
        model, number: its name, and its number among the versions of that name, from 1.
        sha256: of its `policy.onnx`; its files stand in the folder of that name.
        parent_sha256: the version that it was made from. data_sha256: what it was trained on.
        files: SHA-256 by file name. metrics: figures by name.
        signature: the named inputs it reads and the actions it chooses.
        provenance: what its manifest says of where it comes from, with its `weights_sha256`.
    """

    model: str
    number: int
    sha256: str
    schema_sha256: str
    parent_sha256: str | None
    data_sha256: str | None
    files: dict[str, str]
    metrics: dict[str, float]
    signature: dict[str, Any]
    time: float
    provenance: dict[str, Any]


def provenance_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says of where its policy comes from, and the hash of its weights.

    Raises:
        InputError: a hash that is none.
    """
    said = manifest.get("provenance")
    told = dict(said) if isinstance(said, dict) else {}
    if "weights_sha256" in manifest:
        told["weights_sha256"] = manifest["weights_sha256"]
    parent = told.get("parent")
    hashes = {name: told.get(name) for name in ("recipe_sha256", "data_sha256", "weights_sha256")}
    if parent is not None:
        hashes["parent.sha256"] = parent.get("sha256", "") if isinstance(parent, dict) else ""
    data = told.get("data", ())
    if not isinstance(data, list | tuple) or not all(isinstance(one, dict) for one in data):
        raise InputError("policy.json: provenance.data should be a list of files")
    hashes |= {f"data.{k}.sha256": one.get("sha256", "") for k, one in enumerate(data)}
    for name, value in hashes.items():
        check_sha256(value, f"policy.json: provenance.{name}")
    return told


def check_sha256(value: Any, where: str) -> None:
    """Refuse what is no SHA-256; None is that there is none.

    Raises:
        InputError: it is none.
    """
    if value is not None and (not isinstance(value, str) or not _SHA256.fullmatch(value)):
        raise InputError(f"{where}: {value!r} is no SHA-256 (64 of 0-9 and a-f)")


def agreed_data(given: str | None, told: dict[str, Any]) -> str | None:
    """The hash of the data: the manifest's, or what a person says where the manifest has none.

    Raises:
        InputError: they contradict each other.
    """
    check_sha256(given, "data")
    own: str | None = told.get("data_sha256")
    if given is not None and own is not None and given != own:
        raise InputError(
            f"data {given[:12]}... is not what policy.json says that it was trained on: {own}; "
            "leave it out"
        )
    return own or given


def named_parent(found: Version) -> str | None:
    """The hash of what a version says that it was made from."""
    parent = found.provenance.get("parent")
    return found.parent_sha256 or (parent["sha256"] if parent is not None else None)


def parent_among(sha256: str | None, there: Sequence[Version]) -> Version | None:
    """The version that has a hash: of one of its files, or of its weights; None: none here."""
    if sha256 is None:
        return None
    for found in there:
        own = (found.sha256, *found.files.values(), found.provenance.get("weights_sha256"))
        if sha256 in own:
            return found
    return None


def parent_words(found: Version, there: Sequence[Version]) -> str:
    """``version 1``, ``version 1 of other``, ``clone 0123456789ab, not in this registry``."""
    sha256 = named_parent(found)
    if sha256 is None:
        return ""
    parent = parent_among(sha256, sorted(there, key=lambda one: one.model != found.model))
    if parent is None:
        how = (found.provenance.get("parent") or {}).get("how", "")
        return f"{how} {sha256[:12]}, not in this registry".strip()
    whose = "" if parent.model == found.model else f" of {parent.model}"
    return f"version {parent.number}{whose}"
