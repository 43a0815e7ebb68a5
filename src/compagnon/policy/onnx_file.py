"""Looks into an ONNX file before a session does: one that would read other files is refused.

A tensor of an ONNX model may say that its numbers stand in another file, by any path. Whoever
serves a model wants to read the bytes that were verified and nothing else. The file is a protocol
buffer; the few messages in which tensors can stand are walked here, so nothing but this is needed.
"""

from collections.abc import Iterator
from typing import Any

from compagnon.errors import InputError

Message = dict[int, str]

# Field numbers of onnx.proto at which tensors, or messages that hold tensors, stand.
_MESSAGES: dict[str, Message] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 32


def open_session(data: bytes, who: str) -> Any:
    """An onnxruntime session of a model in memory: one thread, nothing that spins or waits.

    Raises:
        InputError: onnxruntime is missing, or the model is none that it can run from memory alone.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"{who} needs onnxruntime: pip install 'compagnon[serve]'") from None
    refuse_external_data(data, who)
    options = onnxruntime.SessionOptions()
    # One decision is some microseconds of work: handing it to other threads would cost more.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they are raised as well
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common base
        raise InputError(f"{who} cannot be run: {str(error).splitlines()[0]}") from None


def refuse_external_data(data: bytes, who: str) -> None:
    """Raise InputError if a tensor of the model `data` stands in another file.

    Raises:
        InputError: one does, or the bytes are no ONNX model; the message begins with `who`.
    """
    try:
        external = _has_external(memoryview(data), "model", 0)
    except (IndexError, ValueError):
        raise InputError(f"{who} is not an ONNX file, or a damaged one") from None
    if external:
        raise InputError(
            f"{who} keeps numbers in another file (external data); "
            "a policy must be one file, whose hash says what it is"
        )


def _has_external(data: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if kind == "tensor":
        return any(
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
            for number, value in _fields(data)
        )
    inside = _MESSAGES[kind]
    return any(
        _has_external(value, inside[number], depth + 1)
        for number, value in _fields(data)
        if number in inside and isinstance(value, memoryview)
    )


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message; numbers of fixed width are passed over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        value: int | memoryview = 0
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire == _BYTES:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire == _FIXED64:
            at += 8
        elif wire == _FIXED32:
            at += 4
        else:
            raise ValueError("no such wire type")
        if at > len(data):
            raise ValueError("cut off")
        yield tag >> 3, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("too long")
