"""The graph is what the trained network was, and the torch it is compared with is it as well."""

import numpy as np
import onnx
import pytest
import torch

from compagnon.errors import InputError
from compagnon.onnx_export.graph import BODIES, build_model
from compagnon.onnx_export.nodes import OPSET
from compagnon.onnx_export.torch_policy import MODULES, TorchPolicy
from compagnon.policy import load_artefact, save_policy
from compagnon.policy.manifest import MatchingHead
from compagnon.policy.onnx_file import open_session
from compagnon.policy.onnx_policy import OnnxPolicy
from compagnon.rl.dqn import QNetwork
from compagnon.rl.networks.actor_critic import ActorCritic
from compagnon.rl.networks.trainable import PolicyNetwork
from tests.policy.boards import Cut, pairwise_policy, schema
from tests.policy.exports import masks, model_of
from tests.policy.networks import network
from tests.policy.test_heads import BOX, DISCRETE, EVERY_HEAD, obs_of

RANGES = {"scale_inputs": "ranges"}
TRAINED = {
    "ppo": lambda: PolicyNetwork(DISCRETE, (16, 8), "tanh", 1),
    "ppo, fewer fields, not scaled": lambda: PolicyNetwork(
        DISCRETE, (16,), "relu", 1, ["x2", "x0"], scale_inputs=False
    ),
    "ppo of vectors": lambda: PolicyNetwork(BOX, (16, 8), "tanh", 1, **RANGES),
    "ppo of vectors, joint, deviations by state": lambda: PolicyNetwork(
        BOX, (16, 8), "tanh", 1, networks="joint", std="by_state"
    ),
    "dqn": lambda: QNetwork(DISCRETE, (16, 8), "relu", 1, **RANGES),
    "dueling dqn": lambda: QNetwork(DISCRETE, (16, 8), "relu", 1, dueling=True),
    "ddpg": lambda: ActorCritic(BOX, (16, 8), "relu", 1, **RANGES),
    "ddpg, layer norm, tanh": lambda: ActorCritic(
        BOX, (16, 8), "relu", 1, norm="layer", squash="tanh"
    ),
    "ddpg, batch norm": lambda: ActorCritic(BOX, (16, 8), "relu", 1, norm="batch"),
    "ddpg of choices": lambda: ActorCritic(DISCRETE, (16, 8), "relu", 1),
}


def shaken(net):
    """As if it had been trained: every number away from where it began, the scaler too."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in net.actor.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    if net.scaler is not None:
        net.scaler.update(net.project(obs_of(300, seed=9)))
    return net


@pytest.mark.parametrize("make", TRAINED.values(), ids=TRAINED)
def test_what_was_trained_is_what_is_exported(make, tmp_path):
    net = shaken(make())
    save_policy(net.as_policy("trained"), tmp_path / "p")
    policy = load_artefact(tmp_path / "p").bind(net.schema)
    obs = net.project(obs_of())
    wanted = net.outputs(net.scaled(obs))[:, : policy.manifest.outputs]
    mask = masks(len(obs), 5) if net.schema.action.kind == "discrete" else None
    module = TorchPolicy(policy.manifest, policy.weights)
    with torch.inference_mode():
        said = module(torch.from_numpy(obs), None if mask is None else torch.from_numpy(mask))
    made = OnnxPolicy(policy.manifest, open_session(model_of(policy).SerializeToString(), "it"), "")
    answer = made.answer(obs, mask)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(said.outputs.numpy(), wanted, atol=2e-6 * scale)
    np.testing.assert_allclose(answer.outputs, wanted, atol=2e-6 * scale)
    np.testing.assert_allclose(answer.action, policy.act(obs, mask), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(said.action.numpy(), policy.act(obs, mask), rtol=1e-5, atol=1e-5)
    if answer.std is not None:
        np.testing.assert_allclose(answer.std, policy.means_and_stds(obs)[1], rtol=1e-5)
        np.testing.assert_allclose(answer.std, said.std.numpy(), rtol=1e-5)


@EVERY_HEAD
def test_the_file_says_what_it_is(schema, head):
    policy = network(schema, head=head)
    model = model_of(policy)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["compagnon.schema_sha256"] == schema.sha256()
    assert facts["compagnon.weights_sha256"] == policy.manifest.weights_sha256
    assert facts["compagnon.fields"] == "x0,x1,x2,x3"
    inputs = [one.name for one in model.graph.input]
    assert inputs == (["obs", "action_mask"] if schema is DISCRETE else ["obs"])
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    assert model.graph.output[0].name == "outputs"


def test_the_same_policy_gives_the_same_bytes():
    first, second = (model_of(network(DISCRETE)).SerializeToString() for _ in range(2))
    assert first == second


def test_another_kind_of_network_needs_a_body_and_a_module(monkeypatch):
    """Whoever adds a kind adds it to both tables; scaler and heads are not touched."""
    assert set(BODIES) == set(MODULES)

    def halved(graph, manifest, weights, x):
        half = graph.constant("a_half", np.float32(0.5))
        small = graph.node("Mul", [x, half], "small")
        return plain(graph, manifest, weights, small)

    plain = BODIES["mlp"]
    monkeypatch.setitem(BODIES, "mlp", halved)
    bare = network(DISCRETE)
    policy = type(bare)(
        bare.manifest.model_copy(update={"scaler": None}), bare.weights
    )  # without a scaler a body reads `obs` itself
    made = OnnxPolicy(
        policy.manifest,
        open_session(build_model(policy.manifest, policy.weights).SerializeToString(), "it"),
        "",
    )
    obs = obs_of()
    np.testing.assert_allclose(made.outputs(obs), policy.outputs(obs / 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("size", [(3, 4), (1, 2), (2, 1), (6, 5)])
def test_pairs_are_scored_as_numpy_scores_them(activation, size):
    policy = pairwise_policy(*size, activation=activation)
    made = OnnxPolicy(
        policy.manifest,
        open_session(build_model(policy.manifest, policy.weights).SerializeToString(), "it"),
        "",
    )
    read, rng = policy.bind(schema(*size)).projection, np.random.default_rng(1)
    module = TorchPolicy(policy.manifest, policy.weights)
    for count in (1, 7):
        obs = read(Cut(*size, count, rng).flat())
        said = made.outputs(obs)
        np.testing.assert_allclose(said, policy.outputs(obs), rtol=1e-4, atol=2e-5)
        with torch.inference_mode():
            torched = module.network(torch.from_numpy(obs)).numpy()
        np.testing.assert_allclose(said, torched, rtol=1e-4, atol=2e-5)
        assert np.unique(said).size > 0.3 * said.size  # of unlike pairs, not all the same


def test_what_is_matched_is_refused():
    policy = pairwise_policy(head=MatchingHead())
    with pytest.raises(InputError, match="Hungarian"):
        build_model(policy.manifest, policy.weights)


def test_a_network_that_there_is_no_graph_for_is_refused(monkeypatch):
    policy = pairwise_policy()
    monkeypatch.delitem(BODIES, "pairwise")
    with pytest.raises(InputError, match="kind 'pairwise' cannot be exported; mlp and onnx can"):
        build_model(policy.manifest, policy.weights)
