"""An exported policy: an ONNX session that plays like any other policy, without torch."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.policy.action_selection import PolicyOutput
from compagnon.policy.artefact import load_manifest
from compagnon.policy.basic import sample_rows
from compagnon.policy.exported import (
    ACTION,
    ACTION_MASK,
    OBS,
    ONNX_FILES,
    OUTPUTS,
    PROBABILITIES,
    RECORD_FILE,
    SCHEMA_KEY,
    STD,
    WEIGHTS_KEY,
    ExportedFile,
    Precision,
    read_record,
)
from compagnon.policy.manifest import CategoricalHead, GaussianHead, Manifest, ValuesHead
from compagnon.policy.onnx_file import open_session
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Projection, Schema
from compagnon.policy.vector_action_selection import VectorsSaid, said_by_normals, said_surely

FloatArray = NDArray[np.float32]
_MAX_ONNX = 1_000_000_000


class GraphOutput(NamedTuple):
    """What one run of the graph says of N observations.

    Attributes:
        outputs: (N, K), the network's outputs before the head, unmasked.
        action: the greedy choice, (N,) int64 or (N, D) float32.
        probabilities: (N, A) float32, 0 where the mask is False; None for vectors of actions.
        std: (N, D), deviations in units of the half-range; None but for Gaussian policies.
    """

    outputs: FloatArray
    action: NDArray[Any]
    probabilities: FloatArray | None
    std: FloatArray | None


@dataclass(frozen=True)
class OnnxPolicy:
    """Scaler, network, mask and the treatment of outputs, all of them inside one ONNX graph.

    Attributes:
        manifest: what the policy reads, what it chooses, where it comes from.
        session: an `onnxruntime.InferenceSession`; it may be used by several threads at once.
        sha256: of the ONNX file. precision: of its arithmetic.
    """

    manifest: Manifest
    session: Any = field(repr=False, compare=False)
    sha256: str
    precision: Precision = "fp32"
    label: str | None = None
    projection: Projection | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its label (how it was called), or the manifest's name."""
        return self.label or self.manifest.name

    @property
    def schema(self) -> Schema:
        """What it was trained to read and choose."""
        return self.manifest.schema_

    @property
    def discrete(self) -> bool:
        """It chooses one of A actions, rather than a vector."""
        return self.schema.action.kind == "discrete"

    def bind(self, given: Schema) -> Self:
        """The same policy, reading its inputs by name from observations of schema `given`.

        Raises:
            InputError: another number of actions, or a field it needs is not shown.
        """
        self.manifest.require_actions(given, self.name)
        projection = self.schema.observation.projection_from(given.observation, self.name)
        return replace(self, projection=projection)

    def answer(self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None) -> GraphOutput:
        """Everything the graph says, in one run.

        Args:
            obs: (N, F). action_mask: (N, A); None where everything is possible.

        Raises:
            InputError: an observation that is not finite, a row without a possible action, arrays
                of another shape, or outputs that are no numbers.
        """
        obs = np.asarray(obs, np.float32)
        check_choice(obs, action_mask, self.name)
        x = obs if self.projection is None else self.projection(obs)
        feed: dict[str, NDArray[Any]] = {OBS: np.ascontiguousarray(x, np.float32)}
        self._check_shape("observations", x, len(self.schema.observation.fields), len(x))
        if self.discrete:
            if action_mask is None:
                action_mask = np.ones((len(x), self.schema.action.n), np.bool_)
            self._check_shape("the action mask", action_mask, self.schema.action.n, len(x))
            feed[ACTION_MASK] = np.ascontiguousarray(action_mask, np.bool_)
        names = _output_names(self.manifest)
        found = dict(zip(names, self.session.run(names, feed), strict=True))
        answer = GraphOutput(
            found[OUTPUTS], found[ACTION], found.get(PROBABILITIES), found.get(STD)
        )
        if not np.isfinite(answer.outputs).all():
            row = int(np.argmin(np.isfinite(answer.outputs).all(axis=1)))
            raise InputError(f"{self.name}: the outputs of row {row} are not finite numbers")
        return answer

    def _check_shape(self, what: str, array: NDArray[Any], columns: int, rows: int) -> None:
        if array.shape != (rows, columns):
            raise InputError(
                f"{self.name}: {what} should have shape ({rows}, {columns}), found {array.shape}"
            )

    def outputs(self, obs: FloatArray) -> FloatArray:
        """What the network says of observations (N, F), before the head; (N, K)."""
        return self.answer(obs).outputs

    def probabilities(
        self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): each row sums to 1, and is 0 wherever the mask is False.

        Raises:
            InputError: a policy whose actions are vectors.
        """
        given = self.answer(obs, action_mask).probabilities
        if given is None:
            raise InputError(f"{self.name}: vectors of actions have no list of probabilities")
        wide = given.astype(np.float64)
        return np.asarray(wide / wide.sum(axis=1, keepdims=True), np.float64)

    def say(self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None) -> PolicyOutput:
        """Everything that a play of a policy of A actions needs, in one run of the graph.

        Raises:
            InputError: see `answer`; and a policy whose actions are vectors.
        """
        answer = self.answer(obs, action_mask)
        if answer.probabilities is None:
            raise InputError(f"{self.name}: vectors of actions have no list of probabilities")
        valued = isinstance(self.manifest.head, ValuesHead)
        return PolicyOutput(answer.outputs, answer.action, answer.probabilities, valued)

    def say_vectors(self, obs: FloatArray) -> VectorsSaid:
        """The same of a policy whose actions are vectors."""
        answer = self.answer(obs)
        if answer.std is None:
            return said_surely(answer.action)
        schema = self.schema.action
        return said_by_normals(schema, answer.action, answer.outputs[:, : schema.n], answer.std)

    def act(
        self,
        obs: FloatArray,
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """The greedy choice, or with `rng` a draw; see `Policy.act`."""
        head = self.manifest.head
        if rng is not None and isinstance(head, CategoricalHead):
            return sample_rows(self.probabilities(obs, action_mask), rng)
        answer = self.answer(obs, action_mask)
        if rng is None or not isinstance(head, GaussianHead):
            return answer.action
        assert answer.std is not None
        units = answer.outputs[:, : self.schema.action.n]
        noise = rng.standard_normal(units.shape).astype(np.float32)
        return self.schema.action.from_units(units + answer.std * noise)


def load_onnx(
    directory: Path,
    precision: Precision = "fp32",
    label: str | None = None,
    *,
    sha256: str | None = None,
) -> OnnxPolicy:
    """Read, verify and open what `compagnon export` wrote into an artefact.

    Args:
        directory: of the artefact: `policy.json`, `export.json` and the ONNX file.
        sha256: that the ONNX file must have; any without it.

    Raises:
        InputError: onnxruntime is missing; nothing was exported; a file was changed, belongs to
            other weights or another schema, reads other files, or is no such graph.
    """
    manifest = load_manifest(directory)
    file = directory / ONNX_FILES[precision]
    verb = f"compagnon export {directory}" + (" --int8" if precision == "int8" else "")
    if not file.is_file():
        raise InputError(f"{directory} has no {file.name}; make it with `{verb}`")
    record = read_record(directory)
    own = (manifest.schema_sha256, manifest.weights_sha256)
    if (record.schema_sha256, record.weights_sha256) != own:
        raise InputError(
            f"{directory / RECORD_FILE} belongs to other weights or another schema than "
            f"policy.json; export again: `{verb}`"
        )
    if precision not in record.files:
        raise InputError(f"{directory / RECORD_FILE} does not list {file.name}; run `{verb}`")
    if sha256 not in (None, record.files[precision].sha256):
        raise InputError(f"{file} was changed meanwhile; try again")
    data = _verified(file, record.files[precision])
    session = open_session(data, str(file))
    _check_graph(session, manifest, str(file))
    return OnnxPolicy(
        manifest, session, record.files[precision].sha256, precision, label or str(directory)
    )


def _verified(file: Path, said: ExportedFile) -> bytes:
    data = read_file(file, _MAX_ONNX)
    found = hashlib.sha256(data).hexdigest()
    if found != said.sha256:
        raise InputError(
            f"{file} is not the file that {RECORD_FILE} describes: its SHA-256 is "
            f"{found[:12]}..., not {said.sha256[:12]}...; it was changed or damaged"
        )
    return data


def _output_names(manifest: Manifest) -> tuple[str, ...]:
    if manifest.schema_.action.kind == "discrete":
        return OUTPUTS, ACTION, PROBABILITIES
    if isinstance(manifest.head, GaussianHead):
        return OUTPUTS, ACTION, STD
    return OUTPUTS, ACTION


def _check_graph(session: Any, manifest: Manifest, who: str) -> None:
    """Refuse a graph of other weights, or with other inputs and outputs than the manifest's."""
    meta = session.get_modelmeta().custom_metadata_map
    for key, wanted in (
        (SCHEMA_KEY, manifest.schema_sha256),
        (WEIGHTS_KEY, manifest.weights_sha256),
    ):
        if meta.get(key) != wanted:
            raise InputError(f"{who} was exported from another policy: its {key} is not this one's")
    schema = manifest.schema_
    wanted_inputs = {OBS: ("tensor(float)", len(schema.observation.fields))}
    if schema.action.kind == "discrete":
        wanted_inputs[ACTION_MASK] = ("tensor(bool)", schema.action.n)
    inputs = {one.name: (one.type, *one.shape[1:]) for one in session.get_inputs()}
    if inputs != wanted_inputs:
        raise InputError(f"{who} reads {inputs}; this policy's graph reads {wanted_inputs}")
    outputs = {one.name for one in session.get_outputs()}
    missing = [name for name in _output_names(manifest) if name not in outputs]
    if missing:
        raise InputError(f"{who} has no output {missing[0]!r}")
