"""A Stable-Baselines3 model as a policy of ours: its weights copied, its choices the same.

Served are the perceptrons of PPO, A2C, TRPO, MaskablePPO, DQN, DDPG, TD3 and SAC, with tanh or ReLU
between their layers. Nothing here is unpickled: of a zip, only `policy.pth` is read, as tensors
alone, and what its JSON says in words. Spaces stand in a zip as pickles, so that an environment has
to be named for it.
"""

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from compagnon.envs.encoding import Encoder
from compagnon.envs.products import product_of
from compagnon.errors import InputError
from compagnon.files import file_sha256
from compagnon.policy.manifest import (
    CategoricalHead,
    DeterministicHead,
    GaussianHead,
    Head,
    Manifest,
    MlpSpec,
    ScalerSpec,
    ValuesHead,
)
from compagnon.policy.network import NetworkPolicy, network_policy
from compagnon.policy.provenance import Parent, Provenance, env_sha256, timestamp
from compagnon.policy.schema import ActionSchema, ObservationSchema, Schema, action_schema
from compagnon.version import __version__

Array = NDArray[np.float32]
Kind = Literal["actor-critic", "dqn", "td3", "sac"]
_MAX_BYTES: Final = 1_000_000_000
# By the first weights of its actor: where the layers stand, where the last one does, and what is
# between them unless the model says otherwise.
_LAYOUTS: Final[dict[Kind, tuple[str, str | None, str]]] = {
    "actor-critic": ("mlp_extractor.policy_net", "action_net", "tanh"),
    "dqn": ("q_net.q_net", None, "relu"),
    "sac": ("actor.latent_pi", "actor.mu", "relu"),
    "td3": ("actor.mu", None, "relu"),
}
_ACTIVATIONS: Final = {"Tanh": "tanh", "ReLU": "relu"}
_EXTRACTORS: Final = re.compile(r"^(pi_|actor\.|q_net\.)?features_extractor\.")


@dataclass(frozen=True)
class _Model:
    """What is known of a model.

    Attributes:
        weights: of its whole policy, by SB3's names. activation: the class's name, if it is said.
        algorithm: what it is called. sha256: of the zip, or of the tensors of a model in memory.
        observation_space, action_space: None where they are known as pickles alone.
        normaliser: a `VecNormalize`, whose figures observations are standardised by.
    """

    weights: dict[str, Array]
    activation: str | None
    algorithm: str
    sha256: str
    use_sde: bool
    observation_space: Any = None
    action_space: Any = None
    env_id: str = ""
    normaliser: Any = None


def from_sb3(
    model: Any, schema: Schema | None = None, normalise: Any = None, name: str | None = None
) -> NetworkPolicy:
    """The policy of a model, or of the zip that `model.save` wrote.

    Args:
        model: a Stable-Baselines3 model, or the path of a zip.
        schema: of the environment; needed for a zip, and otherwise made of the model's spaces.
        normalise: a `VecNormalize`; without it, the one that the model was trained behind, if it
            is at hand.
        name: what the policy is called; the algorithm's name without it.

    Raises:
        InputError: no such model, one that is no perceptron, or another environment's.
    """
    found = _of_zip(Path(model)) if isinstance(model, str | Path) else _of_object(model)
    who = name or f"sb3 {found.algorithm}"
    if schema is None:
        if found.observation_space is None:
            raise InputError(
                f"{model}: its spaces are pickled, which is not read; name the environment as well,"
                " or give the model itself"
            )
        schema = _schema_of(found, who)
    kind, weights = _layers(found, who)
    last = len(weights) - 1
    _check_inputs(found, weights[0][0].shape[1], schema, who)
    head, (weight, bias), more = _head(kind, found, weights[last], schema.action, who)
    weights[last] = (weight, bias)
    scaler, scaling = _scaler(normalise or found.normaliser, schema, who)
    arrays = {
        f"actor.{layer}.{part}": array
        for layer, pair in enumerate(weights)
        for part, array in zip(("weight", "bias"), pair, strict=True)
    }
    manifest = Manifest(
        name=who,
        schema=schema,
        schema_sha256=schema.sha256(),
        network=MlpSpec(
            hidden=tuple(len(bias) for _, bias in weights[:-1]),
            activation=_activation(kind, found, len(weights), who),
        ),
        scaler=scaler,
        head=head,
        weights_sha256="",
        provenance=Provenance(
            algorithm=f"stable-baselines3 {found.algorithm}",
            env_args=dict(schema.env_args),
            env_sha256=env_sha256(schema.env_id, schema.env_args),
            parent=Parent(how="stable-baselines3", name=found.algorithm, sha256=found.sha256),
            created=timestamp(),
            versions={"compagnon": __version__},
        ),
    )
    return network_policy(manifest, {**arrays, **scaling, **more})


# -- what a model is ------------------------------------------------------------------------------


def _of_object(model: Any) -> _Model:
    policy: Any = getattr(model, "policy", None)
    if not hasattr(policy, "state_dict") or not hasattr(model, "observation_space"):
        raise InputError(f"from_sb3: {type(model).__name__} is no model of Stable-Baselines3")
    behind = getattr(model, "get_vec_normalize_env", lambda: None)()
    env = getattr(model, "env", None)
    spec = env.envs[0].spec if env is not None and hasattr(env, "envs") else None
    weights = {k: np.asarray(v.detach().cpu(), np.float32) for k, v in policy.state_dict().items()}
    tensors = {name: np.ascontiguousarray(array) for name, array in sorted(weights.items())}
    return _Model(
        weights,
        getattr(getattr(policy, "activation_fn", None), "__name__", None),
        type(model).__name__,
        hashlib.sha256(save_tensors(tensors)).hexdigest(),
        bool(getattr(model, "use_sde", False)),
        model.observation_space,
        model.action_space,
        "" if spec is None else spec.id,
        behind if getattr(behind, "norm_obs", False) else None,
    )


def _of_zip(path: Path) -> _Model:
    import torch

    try:
        with zipfile.ZipFile(path) as file:
            sizes = {one.filename: one.file_size for one in file.infolist()}
            if "policy.pth" not in sizes or "data" not in sizes:
                raise InputError(f"{path} is no model of Stable-Baselines3: it has no policy.pth")
            if max(sizes["policy.pth"], sizes["data"]) > _MAX_BYTES:
                raise InputError(f"{path} is larger than {_MAX_BYTES:,} bytes")
            tensors = torch.load(
                io.BytesIO(file.read("policy.pth")), map_location="cpu", weights_only=True
            )
            said = json.loads(file.read("data"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except InputError:
        raise
    except Exception as error:  # zipfile's, torch's and json's have no common base
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"{path} is no model of Stable-Baselines3 ({reason})") from None
    chosen = said.get("policy_kwargs") or {}
    # ``<class 'torch.nn.modules.activation.ReLU'>``; the JSON says in words what it pickles.
    activation = re.search(r"(\w+)'>$", str(chosen.get("activation_fn", "")))
    return _Model(
        {key: np.asarray(tensor, np.float32) for key, tensor in tensors.items()},
        activation[1] if activation else None,
        path.stem,
        file_sha256(path),
        bool(said.get("use_sde")),
    )


def _layers(model: _Model, who: str) -> tuple[Kind, list[tuple[Array, Array]]]:
    """The layers of the actor, (weight (out, in), bias (out,)) each, and what kind it is of."""
    names = model.weights
    kind = next(
        (
            kind
            for kind, (hidden, last, _) in _LAYOUTS.items()
            if (f"{last}.weight" if last else f"{hidden}.0.weight") in names
        ),
        None,
    )
    if kind is None or model.use_sde:
        what = "explores by its state (use_sde)" if model.use_sde else "is of no kind that is known"
        raise InputError(
            f"{who}: the policy {what}; PPO, A2C, TRPO, MaskablePPO, DQN, DDPG, TD3 and SAC with "
            "MlpPolicy are read, and any other one as ONNX by from_onnx"
        )
    extracted = next((key for key in names if _EXTRACTORS.match(key)), None)
    if extracted is not None:
        raise InputError(
            f"{who}: its features are made by a network ({extracted}); only perceptrons are read, "
            "and any other policy as ONNX by from_onnx"
        )
    hidden, last, _ = _LAYOUTS[kind]
    pattern = re.compile(re.escape(hidden) + r"\.(\d+)\.weight")
    places = sorted(int(m[1]) for m in map(pattern.fullmatch, names) if m)
    prefixes = [f"{hidden}.{place}" for place in places] + ([last] if last else [])
    layers = [
        (names[f"{p}.weight"], names.get(f"{p}.bias", np.zeros(0, np.float32))) for p in prefixes
    ]
    own = [key for key in names if key.startswith((f"{hidden}.", f"{last}."))]
    plain = all(w.ndim == 2 and b.shape == w.shape[:1] for w, b in layers)
    if not plain or len(own) != 2 * len(layers) or places != list(range(0, 2 * len(places), 2)):
        raise InputError(
            f"{who}: its actor is not made of Linear layers with an activation between them "
            f"({', '.join(own)})"
        )
    return kind, layers


def _activation(kind: Kind, model: _Model, layers: int, who: str) -> Literal["tanh", "relu"]:
    default: Literal["tanh", "relu"] = "tanh" if _LAYOUTS[kind][2] == "tanh" else "relu"
    if model.activation is None or layers == 1:
        return default
    if model.activation not in _ACTIVATIONS:
        raise InputError(
            f"{who}: {model.activation} stands between its layers; Tanh and ReLU are read, and any "
            "other policy as ONNX by from_onnx"
        )
    return "tanh" if _ACTIVATIONS[model.activation] == "tanh" else "relu"


def _schema_of(model: _Model, who: str) -> Schema:
    """What the model's own spaces say."""
    product = product_of(model.action_space)
    plain = product is None or product.plain
    space = model.action_space if plain or product is None else spaces.Discrete(product.n)
    action = action_schema(space, None if plain else product, who)
    fields = Encoder(model.observation_space).fields
    return Schema(model.env_id, ObservationSchema(fields), action)


def _check_inputs(model: _Model, inputs: int, schema: Schema, who: str) -> None:
    space = model.observation_space
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        raise InputError(f"{who}: pictures are not read")
    fields = len(schema.observation.fields)
    if inputs != fields:
        raise InputError(
            f"{who} reads {inputs} numbers; {schema.env_id or 'its environment'} shows {fields}"
        )


# -- what is made of its outputs ------------------------------------------------------------------


def _head(
    kind: Kind, model: _Model, last: tuple[Array, Array], action: ActionSchema, who: str
) -> tuple[Head, tuple[Array, Array], dict[str, Array]]:
    """The head, the last layer in its units, and weights of the head's own."""
    weight, bias = last
    if kind in ("td3", "sac"):
        _require(who, action.kind == "box" and len(bias) == action.n, len(bias), action)
        return DeterministicHead(squash="tanh"), last, {}
    if action.kind == "discrete":
        if action.factors:
            weight, bias = _combined(weight, bias, action.factors, who, action)
        _require(who, len(bias) == action.n, len(bias), action)
        return (ValuesHead() if kind == "dqn" else CategoricalHead()), (weight, bias), {}
    _require(who, kind != "dqn" and len(bias) == action.n, len(bias), action)
    log_std = model.weights.get("log_std")
    if log_std is None or log_std.shape != (action.n,):
        raise InputError(f"{who}: its deviations (log_std) are not one a component")
    # Theirs are in the action's own units, ours in half-ranges around the middle of the bounds.
    middle, half = action.middle_and_half()
    units = (
        (weight / half[:, None]).astype(np.float32),
        ((bias - middle) / half).astype(np.float32),
    )
    return GaussianHead(), units, {"head.log_std": (log_std - np.log(half)).astype(np.float32)}


def _require(who: str, fits: bool, outputs: int, action: ActionSchema) -> None:
    if not fits:
        raise InputError(f"{who} gives {outputs} numbers, for actions that are {action.words}")


def _combined(
    weight: Array, bias: Array, factors: tuple[int, ...], who: str, action: ActionSchema
) -> tuple[Array, Array]:
    """The last layer of parts that are drawn each by itself, as one of their combinations.

    What a combination's logit is, is the sum of its parts' logits, which is linear: its row is the
    sum of their rows. A bit has one logit, of 1; that of 0 is 0.
    """
    bits = len(bias) == len(factors) and set(factors) == {2}
    _require(who, bits or len(bias) == sum(factors), len(bias), action)
    choices = np.indices(factors).reshape(len(factors), -1)  # (parts, combinations)
    rows = np.zeros((math.prod(factors), len(bias)), np.float32)
    starts = np.cumsum([0, *factors[:-1]])
    for part, chosen in enumerate(choices):
        if bits:
            rows[:, part] = chosen
        else:
            rows[np.arange(len(rows)), starts[part] + chosen] = 1
    return rows @ weight, rows @ bias


def _scaler(
    normaliser: Any, schema: Schema, who: str
) -> tuple[ScalerSpec | None, dict[str, Array]]:
    """How a `VecNormalize` standardises observations."""
    if normaliser is None:
        return None, {}
    figures = getattr(normaliser, "obs_rms", None)
    if figures is None or isinstance(figures, Mapping):
        raise InputError(
            f"{who}: normalise should be a VecNormalize of observations that are one Box"
        )
    mean, var = np.asarray(figures.mean).ravel(), np.asarray(figures.var).ravel()
    if len(mean) != len(schema.observation.fields):
        raise InputError(
            f"{who}: it normalises {len(mean)} numbers, and {len(schema.observation.fields)} are "
            "shown"
        )
    scaling = {
        "scaler.mean": mean.astype(np.float32),
        "scaler.std": np.sqrt(var + normaliser.epsilon).astype(np.float32),
    }
    return ScalerSpec(clip=float(normaliser.clip_obs)), scaling
