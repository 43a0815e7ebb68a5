"""Policies: the protocol, the schema, the artefact on disk, and loading by name."""

from compagnon.policy.artefact import load_artefact, save_policy
from compagnon.policy.loading import load_policy
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.onnx_policy import OnnxPolicy, load_onnx
from compagnon.policy.protocol import DayReader, Policy, StochasticPolicy
from compagnon.policy.schema import ActionSchema, ObservationSchema, Schema

__all__ = [
    "ActionSchema",
    "DayReader",
    "NetworkPolicy",
    "ObservationSchema",
    "OnnxPolicy",
    "Policy",
    "Schema",
    "StochasticPolicy",
    "load_artefact",
    "load_onnx",
    "load_policy",
    "save_policy",
]
