"""A model of Stable-Baselines3 decides the same as a policy of ours, and nothing is unpickled."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import QRDQN, TRPO, MaskablePPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import compagnon as cp
from compagnon.errors import InputError
from compagnon.policy import load_artefact
from tests.rl.small import BANDIT, CONTEXTS, ECHO

RELU = {"net_arch": [16, 8], "activation_fn": torch.nn.ReLU}
SPREAD = 2.0
OFF_POLICY = {"buffer_size": 10, "learning_starts": 5}
MODELS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "PPO": (PPO, "CartPole-v1", {}),
    "PPO, relu": (PPO, "CartPole-v1", {"policy_kwargs": RELU}),
    "PPO, no layers": (PPO, "CartPole-v1", {"policy_kwargs": {"net_arch": []}}),
    "PPO, apart": (
        PPO,
        "CartPole-v1",
        {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [16, 16]}}},
    ),
    "PPO, box": (PPO, ECHO, {}),
    "A2C": (A2C, "CartPole-v1", {}),
    "A2C, box": (A2C, "Pendulum-v1", {"policy_kwargs": RELU}),
    "TRPO": (TRPO, "CartPole-v1", {}),
    "DQN": (DQN, "CartPole-v1", OFF_POLICY),
    "DDPG": (DDPG, ECHO, OFF_POLICY),
    "TD3": (TD3, "Pendulum-v1", {**OFF_POLICY, "policy_kwargs": {"net_arch": [32, 16]}}),
    "SAC": (SAC, ECHO, {**OFF_POLICY, "policy_kwargs": {"net_arch": [8, 8]}}),
}


def made(kind: Any, env: Any, seed: int = 0, **settings: Any) -> Any:
    """A model whose weights are large enough that its actions are far from ties."""
    several = isinstance(getattr(env, "observation_space", None), spaces.Dict)
    policy = "MultiInputPolicy" if several else "MlpPolicy"
    model = kind(policy, env, seed=seed, device="cpu", **settings)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(SPREAD / len(parameter) ** 0.5 * torch.randn_like(parameter))
    return model


def observations(fields: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(400, fields)).astype(np.float32)


def assert_same_choices(policy: cp.BoundPolicy, model: Any, obs: np.ndarray) -> None:
    theirs, _ = model.predict(obs, deterministic=True)
    ours = policy.act(obs)
    if policy.schema.action.kind == "discrete":
        assert len(np.unique(ours)) > 1
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert np.ptp(ours, axis=0).min() > 0.01
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_it_chooses_what_the_model_predicts(name, tmp_path):
    kind, env_id, settings = MODELS[name]
    model = made(kind, env_id, **settings)
    policy = cp.from_sb3(model)
    obs = observations(len(policy.fields))
    assert_same_choices(policy, model, obs)
    # From the zip, and from a folder of ours.
    model.save(tmp_path / "model.zip")
    assert_same_choices(cp.from_sb3(tmp_path / "model.zip", env_id), model, obs)
    assert_same_choices(cp.load_policy(policy.save(tmp_path / "policy")), model, obs)
    assert load_artefact(tmp_path / "policy").manifest.provenance.algorithm.endswith(kind.__name__)


@pytest.mark.parametrize("seed", range(2))
def test_masks_are_kept_to(seed):
    model = made(MaskablePPO, BANDIT, seed)
    policy = cp.from_sb3(model, BANDIT)
    rng = np.random.default_rng(seed)
    obs, mask = observations(CONTEXTS, seed), rng.random((400, 6)) < 0.4
    mask[np.arange(400), rng.integers(6, size=400)] = True
    theirs, _ = model.predict(obs, deterministic=True, action_masks=mask)
    ours = policy.act(obs, mask)
    np.testing.assert_array_equal(ours, theirs)
    assert mask[np.arange(400), ours].all()
    # Probabilities are those of its distribution.
    with torch.no_grad():
        distribution = model.policy.get_distribution(torch.from_numpy(obs), action_masks=mask)
    np.testing.assert_allclose(
        policy.probabilities(obs, mask), distribution.distribution.probs.numpy(), atol=1e-5
    )
    with pytest.raises(InputError, match="give action_mask"):
        policy.act(obs)


def test_a_gaussian_is_drawn_from_with_its_own_deviation():
    model = made(PPO, ECHO)
    policy = cp.from_sb3(model)
    obs = observations(2)[:1]
    with torch.no_grad():
        distribution = model.policy.get_distribution(torch.from_numpy(obs)).distribution
        mean, std = distribution.mean.numpy()[0], distribution.stddev.numpy()[0]
    low, high = np.array(policy.schema.action.low), np.array(policy.schema.action.high)
    ours = policy.act(np.repeat(obs, 20_000, axis=0), rng=np.random.default_rng(0))
    theirs = np.clip(np.random.default_rng(1).normal(mean, std, (20_000, 2)), low, high)
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.08)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), atol=0.08)


# -- spaces of several parts ----------------------------------------------------------------------


class Parts(gymnasium.Env):
    """Any spaces."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


BOX = spaces.Box(-1, 1, (3,), np.float32)
DICT = spaces.Dict(
    {"stock": spaces.Box(-1, 1, (2,), np.float32), "day": spaces.Discrete(3), "a": BOX}
)


@pytest.mark.parametrize(
    "action_space",
    [spaces.MultiDiscrete([3, 2, 4]), spaces.MultiBinary(3), spaces.Discrete(5)],
    ids=["MultiDiscrete", "MultiBinary", "Discrete"],
)
@pytest.mark.parametrize("observation_space", [BOX, DICT, spaces.MultiDiscrete([3, 2])])
def test_parts_are_put_together(observation_space, action_space):
    env = Parts(observation_space, action_space)
    adapted = cp.make(env)
    encode, product = (adapted.get_wrapper_attr(name) for name in ("_encode", "product"))
    observation_space.seed(1)
    seen = set()
    for seed in range(3):
        model = made(PPO, env, seed)
        policy = cp.from_sb3(model)
        for _ in range(30):
            raw = observation_space.sample()
            theirs, _ = model.predict(raw, deterministic=True)
            ours = policy.act(encode(raw))
            np.testing.assert_array_equal(np.ravel(product.parts(ours)), np.ravel(theirs))
            seen.add(ours)
    assert len(seen) > 1


# -- normalised observations ----------------------------------------------------------------------


def test_a_normaliser_becomes_the_policy_s_scaler(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]), clip_obs=2.0)
    env.obs_rms.mean[:] = [0.3, -1.0, 0.1, 2.0]
    env.obs_rms.var[:] = [0.5, 4.0, 0.01, 9.0]
    model = made(PPO, env)
    obs = 3 * observations(4)
    theirs, _ = model.predict(env.normalize_obs(obs), deterministic=True)
    np.testing.assert_array_equal(cp.from_sb3(model).act(obs), theirs)
    assert (cp.from_sb3(made(PPO, "CartPole-v1")).act(obs) != theirs).any()
    model.save(tmp_path / "model")
    from_zip = cp.from_sb3(tmp_path / "model.zip", "CartPole-v1", normalise=env)
    np.testing.assert_array_equal(from_zip.act(obs), theirs)
    with pytest.raises(InputError, match="normalise should be a VecNormalize"):
        cp.from_sb3(model, normalise=object())


# -- what it is for -------------------------------------------------------------------------------


def test_it_is_evaluated_beside_ours_and_exported(tmp_path):
    policy = cp.from_sb3(made(PPO, "CartPole-v1"), "CartPole-v1", name="theirs")
    found = cp.evaluate([policy, "random"], episodes=5)
    assert found.env == "CartPole-v1"
    assert found.scores[0].name == "theirs"
    cp.export(policy, tmp_path / "served", states=128)
    paired = cp.evaluate([policy, f"onnx:{tmp_path / 'served'}"], episodes=5).paired[0]
    assert paired.mean == 0.0


# -- what is refused ------------------------------------------------------------------------------


class Exploding:
    """What a pickle may do."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_nothing_in_a_zip_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(PPO, "CartPole-v1").save("model.zip")
    with zipfile.ZipFile("model.zip") as whole, zipfile.ZipFile("bad.zip", "w") as bad:
        bad.writestr("data", whole.read("data"))
        bad.writestr("policy.pth", pickle.dumps(Exploding(), protocol=2))
    with pytest.raises(InputError, match=r"bad\.zip is no model of Stable-Baselines3"):
        cp.from_sb3("bad.zip", "CartPole-v1")
    assert not Path("exploded").exists()


def test_a_zip_needs_an_environment(tmp_path):
    made(PPO, "CartPole-v1").save(tmp_path / "model.zip")
    with pytest.raises(InputError, match="its spaces are pickled, which is not read"):
        cp.from_sb3(tmp_path / "model.zip")
    with pytest.raises(InputError, match="reads 4 numbers; Pendulum-v1 shows 3"):
        cp.from_sb3(tmp_path / "model.zip", "Pendulum-v1")
    with pytest.raises(InputError, match="gives 2 numbers, for actions that are discrete, 6"):
        cp.from_sb3(tmp_path / "model.zip", BANDIT)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (object, "object is no model of Stable-Baselines3"),
        (lambda: made(QRDQN, "CartPole-v1", **OFF_POLICY), "is of no kind that is known"),
        (
            lambda: made(PPO, "CartPole-v1", policy_kwargs={"activation_fn": torch.nn.ELU}),
            "ELU stands between its layers",
        ),
        (lambda: made(PPO, "Pendulum-v1", use_sde=True), "explores by its state"),
        (lambda: "missing.zip", "there is no such file"),
    ],
    ids=["object", "another kind", "another activation", "sde", "no file"],
)
def test_what_cannot_be_read_is_said(model, words):
    with pytest.raises(InputError, match=words):
        cp.from_sb3(model())


def test_what_is_no_model_s_zip_is_said(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(InputError, match="is no model of Stable-Baselines3"):
        cp.from_sb3(tmp_path / "text.zip", "CartPole-v1")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as empty:
        empty.writestr("readme", "nothing")
    with pytest.raises(InputError, match=r"it has no policy\.pth"):
        cp.from_sb3(tmp_path / "empty.zip", "CartPole-v1")
