"""Any ONNX graph as the network of a policy: what others trained, with a schema and a head of ours.

The graph's bytes are the policy's weights, so that it is saved, hashed, registered, exported and
served as every other policy is. It reads observations (N, F) and gives, for each, either numbers
that a head of ours reads (logits, values), or the action itself. What `export` wrote says by itself
which fields it reads and what its outputs mean.
"""

import functools
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.policy.exported import (
    ACTION,
    ACTION_MASK,
    FIELDS_KEY,
    HEAD_KEY,
    NAME_KEY,
    OBS,
    OUTPUTS,
    SCALING_KEY,
    SCHEMA_KEY,
    STD,
)
from compagnon.policy.manifest import (
    CategoricalHead,
    DeterministicHead,
    GaussianHead,
    Head,
    Manifest,
    OnnxSpec,
    ValuesHead,
)
from compagnon.policy.onnx_file import open_session
from compagnon.policy.provenance import Parent, Provenance, env_sha256, timestamp
from compagnon.policy.schema import Schema
from compagnon.version import __version__

Gives = Literal["logits", "values", "actions"]
GRAPH: Final = "onnx.graph"  # what the bytes are called among the weights
_MAX_BYTES: Final = 1_000_000_000
_HEADS: Final[TypeAdapter[Any]] = TypeAdapter(Head)
_OF_VECTORS: Final = ("gaussian", "deterministic")
_PROBE: Final = 3  # observations that a graph is tried on: more than one, and few


class OnnxGraph:
    """A graph that computes what a network would; see `graphs.Graph`."""

    def __init__(self, manifest: Manifest, weights: dict[str, Any]) -> None:
        assert isinstance(manifest.network, OnnxSpec)
        self._spec, self._name = manifest.network, manifest.name
        self._action = manifest.schema_.action
        self._bytes = weights[GRAPH].tobytes()

    @functools.cached_property
    def session(self) -> Any:
        """Opened when it is first asked; it may be used by several threads at once."""
        return open_session(self._bytes, self._name)

    @functools.cached_property
    def _is_masked(self) -> bool:
        return any(one.name == ACTION_MASK for one in self.session.get_inputs())

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Observations (N, F) -> (N, outputs), as the head reads them."""
        given = self.run(x)
        if self._spec.gives == "numbers":
            return np.asarray(given, np.float32)
        if self._action.kind == "discrete":
            chosen = given.reshape(len(x), 1).astype(np.int64)
            return np.asarray(chosen == np.arange(self._action.n), np.float32)
        middle, half = self._action.middle_and_half()
        return np.asarray((given.reshape(len(x), -1) - middle) / half, np.float32)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """What the graph itself gives.

        Raises:
            InputError: it fails on these observations.
        """
        try:
            feed = {self._spec.input: np.ascontiguousarray(x, np.float32)}
            if self._is_masked:  # one of ours; what is read of it is what stands before its mask
                feed[ACTION_MASK] = np.ones((len(x), self._action.n), np.bool_)
            found = self.session.run([self._spec.output], feed)[0]
        except InputError:
            raise
        except Exception as error:  # onnxruntime's own have no common base
            reason = str(error).partition("\n")[0][:200]
            raise InputError(f"{self._name}: the graph cannot be run: {reason}") from None
        return np.asarray(found)


def manifest_of_onnx(
    path: Path,
    schema: Schema,
    gives: Gives | None = None,
    output: str | None = None,
    name: str | None = None,
) -> tuple[Manifest, dict[str, Any]]:
    """A manifest for somebody's graph, and its bytes as weights; it has been tried.

    Args:
        schema: of the environment: what the graph's columns are, in this order; one that was
            exported here names those that it reads.
        gives: what `output` is: the logits of a softmax, the values of actions (the best possible
            one is taken), or the actions themselves. Without it, whole numbers and vectors are
            actions, and other numbers logits; one that was exported here says it.
        output: which output is read; the first without it.
        name: what the policy is called; without it what one that was exported here was called, or
            the file's name.

    Raises:
        InputError: no ONNX file, or a graph that does not read these observations or give these
            actions.
    """
    data = read_file(path, _MAX_BYTES)
    session = open_session(data, str(path))
    facts: dict[str, str] = session.get_modelmeta().custom_metadata_map
    ours = SCHEMA_KEY in facts
    schema = _own_fields(schema, facts, session, str(path)) if ours else schema
    box = schema.action.kind == "box"
    head: Head | None = None
    if ours and gives is None and output is None:
        head = _own_head(facts, box, str(path))
        output = ACTION if head is None else OUTPUTS
    read, given = _input(session, schema, ours, str(path)), _output(session, output, str(path))
    if head is None:
        gives = _given(gives, given, schema, str(path))
        head = _head(gives, box)
    else:
        gives = None
    manifest = Manifest(
        name=name or facts.get(NAME_KEY) or path.stem,
        schema=schema,
        schema_sha256=schema.sha256(),
        network=OnnxSpec(
            input=read, output=given.name, gives="actions" if gives == "actions" else "numbers"
        ),
        scaler=None,
        head=head,
        weights_sha256="",
        provenance=Provenance(
            algorithm="onnx",
            env_args=dict(schema.env_args),
            env_sha256=env_sha256(schema.env_id, schema.env_args),
            parent=Parent(how="onnx", name=path.name, sha256=hashlib.sha256(data).hexdigest()),
            created=timestamp(),
            versions={"compagnon": __version__},
        ),
    )
    weights: dict[str, NDArray[Any]] = {GRAPH: np.frombuffer(data, np.uint8)}
    _try(manifest, weights, str(path))
    if isinstance(head, GaussianHead) and not head.state_dependent:
        weights["head.log_std"] = _own_log_std(session, schema)
    return manifest, weights


def _own_fields(schema: Schema, facts: dict[str, str], session: Any, who: str) -> Schema:
    """The part of an environment's schema that a graph of ours reads, in its order."""
    names = facts.get(FIELDS_KEY, "").split(",")
    columns = session.get_inputs()[0].shape[1]
    if len(names) != columns:  # a name with a comma in it: by their places then
        return schema
    missing = sorted(set(names) - set(schema.observation.names))
    if missing:
        raise InputError(
            f"{who}: it reads the field{'s' if len(missing) > 1 else ''} {', '.join(missing)}, "
            f"which {schema.env_id} does not show"
        )
    own = schema.observation.select(names, facts.get(SCALING_KEY))
    return replace(schema, observation=own)


def _own_head(facts: dict[str, str], box: bool, who: str) -> Head | None:
    """What a graph of ours makes of its outputs; None where its `action` is to be read."""
    if HEAD_KEY in facts:
        try:
            found: Head = _HEADS.validate_json(facts[HEAD_KEY])
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise InputError(f"{who}: {HEAD_KEY} in its metadata is no head: {what}") from None
        if (found.kind in _OF_VECTORS) != box:
            raise InputError(f"{who}: its head {found.kind!r} does not give such actions")
        return found
    if not box:
        raise InputError(
            f"{who}: it was exported before its file said what its outputs mean: say "
            "gives='logits', or gives='values' of a policy of dqn"
        )
    return None


def _own_log_std(session: Any, schema: Schema) -> NDArray[np.float32]:
    """The deviations of every state alike, (D,), from what a graph of ours gives."""
    obs = np.zeros((1, len(schema.observation.fields)), np.float32)
    (std,) = session.run([STD], {OBS: obs})
    return np.asarray(np.log(std[0]), np.float32)


def _given(gives: Gives | None, output: Any, schema: Schema, who: str) -> Gives:
    """What an output means, checked against its type and the actions at hand."""
    whole, box = "int" in output.type, schema.action.kind == "box"
    gives = gives or ("actions" if whole or box else "logits")
    if box and gives != "actions":
        raise InputError(f"{who}: vectors of actions are given as actions, not as {gives}")
    if whole and gives != "actions":
        raise InputError(f"{who}: the output {output.name!r} is whole numbers, not {gives}")
    if not box and gives == "actions" and schema.needs_mask:
        raise InputError(
            f"{who}: it gives the action alone, and {schema.env_id} says which are possible: what "
            "it would choose among those nobody knows; give its logits or values"
        )
    return gives


def _head(gives: Gives, box: bool) -> Head:
    if box:
        return DeterministicHead(squash="none")
    return CategoricalHead() if gives == "logits" else ValuesHead()


def _input(session: Any, schema: Schema, ours: bool, who: str) -> str:
    fields = len(schema.observation.fields)
    inputs = [one for one in session.get_inputs() if not (ours and one.name == ACTION_MASK)]
    shown = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        raise InputError(
            f"{who}: it should read one tensor, float (N, {fields}); it reads {shown or 'nothing'}"
        )
    rows, columns = inputs[0].shape
    if isinstance(rows, int):
        raise InputError(
            f"{who}: it reads {rows} observations at a time; export it with a batch that is free "
            "(torch.onnx.export: dynamic_axes or dynamic_shapes)"
        )
    if isinstance(columns, int) and columns != fields:
        raise InputError(f"{who}: it reads {columns} numbers; {schema.env_id} shows {fields}")
    return str(inputs[0].name)


def _output(session: Any, wanted: str | None, who: str) -> Any:
    outputs = {one.name: one for one in session.get_outputs()}
    if wanted is not None and wanted not in outputs:
        raise InputError(f"{who}: there is no output {wanted!r} (there are {', '.join(outputs)})")
    return outputs[wanted] if wanted is not None else next(iter(outputs.values()))


def _try(manifest: Manifest, weights: dict[str, Any], who: str) -> None:
    """Ask the graph about a few observations: shapes in a file are often left open."""
    schema, network = manifest.schema_, manifest.network
    assert isinstance(network, OnnxSpec)
    fields, n = len(schema.observation.fields), schema.action.n
    given = OnnxGraph(manifest, weights).run(np.zeros((_PROBE, fields), np.float32))
    one_each = network.gives == "actions" and schema.action.kind == "discrete"
    columns = n if network.gives == "actions" else manifest.outputs
    shapes = ((_PROBE,), (_PROBE, 1)) if one_each else ((_PROBE, columns),)
    if given.shape not in shapes:
        raise InputError(
            f"{who}: of {_PROBE} observations the output {network.output!r} has shape "
            f"{given.shape}; for {schema.action.words} it should have {shapes[0]}"
        )


def check_graph(manifest: Manifest, weights: dict[str, Any], who: str) -> None:
    """Refuse an artefact whose graph is missing, or no array of bytes.

    Raises:
        InputError: it is; the message begins with `who`.
    """
    graph = weights.get(GRAPH)
    if graph is None or graph.dtype != np.uint8 or graph.ndim != 1:
        raise InputError(f"{who}: {GRAPH} should be the bytes of a graph (uint8)")
    if manifest.scaler is not None:
        raise InputError(f"{who}: a network of kind 'onnx' scales by itself: scaler should be null")
