"""Small untrained networks to test policies and artefacts with."""

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.envs.registration import WORKSHOP
from compagnon.policy import NetworkPolicy, Schema
from compagnon.policy.manifest import Manifest, MlpSpec, ScalerSpec


def schema_of(env_id: str = WORKSHOP, **env_args: object) -> Schema:
    return Schema.of(BatchEnv(env_id, env_args, 1))


def network(schema: Schema, hidden: tuple[int, ...] = (8,), scale: float = 1.0) -> NetworkPolicy:
    rng = np.random.default_rng(0)
    inputs = len(schema.observation.fields)
    sizes = [inputs, *hidden, schema.action.n]
    weights = {
        "scaler.mean": rng.normal(size=inputs).astype(np.float32),
        "scaler.std": rng.uniform(1, 10, inputs).astype(np.float32),
    }
    for layer in range(len(sizes) - 1):
        shape = (sizes[layer + 1], sizes[layer])
        weights[f"actor.{layer}.weight"] = (scale * rng.normal(size=shape)).astype(np.float32)
        weights[f"actor.{layer}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    manifest = Manifest(
        name="small",
        schema=schema,
        schema_sha256=schema.sha256(),
        network=MlpSpec(hidden=hidden),
        scaler=ScalerSpec(),
        weights_sha256="",
    )
    return NetworkPolicy(manifest, weights)
