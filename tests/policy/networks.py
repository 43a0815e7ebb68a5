"""Small untrained networks to test policies and artefacts with."""

from typing import Literal

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.policy import NetworkPolicy, Schema
from compagnon.policy.manifest import (
    CategoricalHead,
    GaussianHead,
    Head,
    Manifest,
    MlpSpec,
    ScalerSpec,
)
from compagnon.policy.network import network_policy
from compagnon.worlds.workshop import WORKSHOP


def schema_of(env_id: str = WORKSHOP, **env_args: object) -> Schema:
    return Schema.of(BatchEnv(env_id, env_args, 1))


def network(
    schema: Schema,
    hidden: tuple[int, ...] = (8,),
    scale: float = 1.0,
    head: Head | None = None,
    activation: Literal["tanh", "relu"] = "tanh",
    layer_norm: bool = False,
) -> NetworkPolicy:
    """One with drawn weights, for whichever head is asked for."""
    rng = np.random.default_rng(0)
    inputs = len(schema.observation.fields)
    manifest = Manifest(
        name="small",
        schema=schema,
        schema_sha256=schema.sha256(),
        network=MlpSpec(hidden=hidden, activation=activation, layer_norm=layer_norm),
        scaler=ScalerSpec(),
        head=head or CategoricalHead(),
        weights_sha256="",
    )
    sizes = [inputs, *hidden, manifest.outputs]
    weights = {
        "scaler.mean": rng.normal(size=inputs).astype(np.float32),
        "scaler.std": rng.uniform(1, 10, inputs).astype(np.float32),
    }
    for layer in range(len(sizes) - 1):
        shape = (sizes[layer + 1], sizes[layer])
        weights[f"actor.{layer}.weight"] = (scale * rng.normal(size=shape)).astype(np.float32)
        weights[f"actor.{layer}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
        if layer_norm and layer < len(sizes) - 2:
            weights[f"actor.{layer}.norm.weight"] = rng.normal(size=shape[0]).astype(np.float32)
            weights[f"actor.{layer}.norm.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    if isinstance(head, GaussianHead) and not head.state_dependent:
        weights["head.log_std"] = rng.normal(size=schema.action.n).astype(np.float32)
    return network_policy(manifest, weights)
