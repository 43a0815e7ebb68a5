"""What every algorithm owes: each case of `cases.py` is held to all of it."""

import math
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import decisions, play_episodes
from compagnon.policy import Schema, load_artefact, save_policy
from compagnon.rl.algorithm import build_algorithm, total_iterations
from compagnon.rl.callbacks import IterationInfo
from compagnon.rl.registry import settings_by_kind
from compagnon.rl.trainer import Trainer, TrainingError, start
from compagnon.worlds.world import World
from tests.rl.cases import CASES, QUICK, Case
from tests.rl.small import through_disk
from tests.rl.test_trainer import assert_same_run, flat, in_a_process, wait_for_lines
from tests.tiers import full
from tests.worlds.ladder import LadderForks

SETTINGS = settings_by_kind()

EVERY_CASE = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name) if name in QUICK else full(case, id=name)
        for name, case in CASES.items()
    ],
)
OTHER_SEED = 99


class Training:
    """An algorithm of a case at work, and all that can be seen of it."""

    def __init__(self, case: Case, seed: int = 0, **changes: Any) -> None:
        self.algorithm, self.network = build_algorithm(case.recipe(seed, **changes))

    def run(self, iterations: int) -> list[dict[str, float]]:
        """The metrics of so many more iterations, with how far each one came."""
        return [
            {
                **self.algorithm.iterate(),
                "iteration": self.algorithm.iteration,
                "env_steps": self.algorithm.env_steps,
                "episodes": self.algorithm.episodes,
            }
            for _ in range(iterations)
        ]

    def save(self) -> dict[str, Any]:
        tree = {"algorithm": self.algorithm.state_dict(), "network": self.network.state_dict()}
        found: dict[str, Any] = through_disk(tree)
        return found

    def load(self, state: dict[str, Any]) -> None:
        self.algorithm.load_state_dict(state["algorithm"])
        self.network.load_state_dict(state["network"])

    def weights(self) -> dict[str, np.ndarray]:
        return {
            f"{name}.{key}": value.detach().cpu().numpy().copy()
            for name, module in self.network.modules.items()
            for key, value in module.state_dict().items()
        }


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = flat(one), flat(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    try:
        assert_same(one, other)
    except AssertionError:
        return True
    return False


def moments(case: Case, steps: int = 40) -> tuple[np.ndarray, np.ndarray | None]:
    """What is seen in random play, and what is possible then."""
    env = BatchEnv(case.env_id, case.env_args, 5)
    env.reset([11, 12, 13, 14, 15])
    rng = np.random.default_rng(0)
    seen, possible = [], []
    for _ in range(steps):
        seen.append(env.obs.copy())
        if env.action_mask is None:
            low, high = env.action_space.low, env.action_space.high
            env.step(rng.uniform(low, high, (5, len(low))).astype(np.float32))
        else:
            possible.append(env.action_mask.copy())
            scores = np.where(env.action_mask, rng.random(env.action_mask.shape), -1)
            env.step(scores.argmax(axis=1))
    return np.concatenate(seen), np.concatenate(possible) if possible else None


# -- the policy ---------------------------------------------------------------------------------


@EVERY_CASE
def test_network_policy_and_artefact_are_one_function(case, tmp_path):
    training = Training(case)
    training.run(3)
    obs, mask = moments(case)
    network, policy = training.network, training.network.as_policy("it")
    wanted = network.outputs(network.read(obs))[:, : policy.manifest.outputs]
    np.testing.assert_allclose(policy.outputs(obs), wanted, rtol=1e-4, atol=1e-5)
    save_policy(policy, tmp_path / "it")
    parts = {name.partition(".")[0] for name in load_artefact(tmp_path / "it").weights}
    assert "actor" in parts <= {"actor", "scaler", "head"}  # what decides, and no critic
    loaded = load_artefact(tmp_path / "it").bind(Schema.of(BatchEnv(case.env_id, case.env_args, 1)))
    np.testing.assert_array_equal(loaded.outputs(obs), policy.outputs(obs))
    for seed in (None, 3):
        actions = [
            each.act(obs, mask, None if seed is None else np.random.default_rng(seed))
            for each in (policy, loaded)
        ]
        np.testing.assert_array_equal(*actions)
        if mask is not None:
            assert mask[np.arange(len(obs)), actions[0]].all()


@EVERY_CASE
def test_a_policy_stays_as_it_was_when_training_goes_on(case):
    training = Training(case)
    training.run(1)
    obs, _ = moments(case)
    policy = training.network.as_policy("it")
    before = policy.outputs(obs)
    training.run(3)
    np.testing.assert_array_equal(policy.outputs(obs), before)
    assert not np.array_equal(training.network.as_policy("it").outputs(obs), before)


@EVERY_CASE
def test_no_action_is_ever_masked_or_out_of_bounds(case, monkeypatch):
    """In practice of several episodes, and in play afterwards."""
    taken = 0
    step = BatchEnv.step

    def watched(env: BatchEnv, actions: np.ndarray) -> Any:
        nonlocal taken
        taken += len(actions)
        if env.action_mask is None:
            assert env.action_space.contains(np.asarray(actions[0]))
            assert (actions >= env.action_space.low).all()
            assert (actions <= env.action_space.high).all()
        else:
            assert env.action_mask[np.arange(len(actions)), actions].all()
        return step(env, actions)

    monkeypatch.setattr(BatchEnv, "step", watched)
    training = Training(case)
    training.run(5)
    assert taken >= training.algorithm.env_steps > 0
    policy = training.network.as_policy("it")
    for rng in (None, np.random.default_rng(0)):
        env = BatchEnv(case.env_id, case.env_args, 3)
        env.reset([1, 2, 3])
        for _ in zip(range(50), decisions(env, policy, rng), strict=False):
            pass


# -- saving -------------------------------------------------------------------------------------


@EVERY_CASE
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_restored_run_is_the_same_run(case, at):
    """Into an object of another seed, so that whatever is not restored tells."""
    whole = Training(case)
    whole.run(at)
    saved = whole.save()
    resumed = Training(case, OTHER_SEED)
    resumed.load(saved)
    assert resumed.run(3) == whole.run(3)
    assert_same(resumed.save(), whole.save())


@EVERY_CASE
def test_an_object_that_has_worked_can_be_restored_too(case):
    whole = Training(case)
    whole.run(2)
    saved = whole.save()
    resumed = Training(case, OTHER_SEED)
    resumed.run(3)
    resumed.load(saved)
    assert resumed.run(3) == whole.run(3)


@pytest.mark.full
@EVERY_CASE
def test_saving_and_going_on_is_the_same_as_being_restored_at_every_iteration(case):
    whole, relay = Training(case), Training(case)
    for _ in range(5):
        saved = whole.save()
        assert_same(relay.save(), saved)
        relay = Training(case, OTHER_SEED)
        relay.load(saved)
        assert relay.run(1) == whole.run(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_run_killed_at_any_moment_resumes_as_the_same_run(name, tmp_path):
    case = CASES[name]
    if case.env_id.startswith("tests/"):  # another process does not know them
        discrete = Schema.of(BatchEnv(case.env_id, case.env_args, 1)).action.kind == "discrete"
        env = {"id": "CartPole-v1" if discrete else "Pendulum-v1"}
    else:
        env = {"id": case.env_id, "args": case.env_args}
    algorithm = {**case.algorithm}
    if case.kind == "dagger":
        algorithm["iterations"] = 60
    recipe = case.recipe(
        env=env,
        algorithm=algorithm,
        budget={"iterations": 60},
        evaluation={"every": 7, "episodes": 1},
    )
    start(recipe, tmp_path / "whole").train()
    path = tmp_path / "killed"
    process = in_a_process(path, recipe)
    chance = random.Random(name)
    lines = 0
    for _ in range(2):
        lines += chance.randint(5, 20)
        wait_for_lines(process, path, lines)
        time.sleep(0.1 * chance.random())
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        process = in_a_process(path)
    out, error = process.communicate(timeout=300)
    assert out == "finished\n", error
    assert_same_run(path, tmp_path / "whole")


def parts(tree: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of what a state holds by name, from the whole parts down to the parts of parts."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield (*where, key)
            yield from parts(value, (*where, key))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def changed(tree: Any, path: tuple[Any, ...], value: Any = None, drop: bool = False) -> Any:
    """The tree with another value at a path, or without it."""
    if not path:
        return value
    key, *rest = path
    if not rest and drop:
        return {name: item for name, item in tree.items() if name != key}
    return {**tree, key: changed(tree[key], tuple(rest), value, drop)}


REFUSALS = (KeyError, TypeError, ValueError, RuntimeError)


@pytest.mark.full
@EVERY_CASE
def test_a_state_that_lacks_a_part_is_refused(case):
    training = Training(case)
    training.run(2)
    saved = training.save()
    for path in parts(saved):
        if len(path) > 3 or not isinstance(path[-1], str) or at(saved, path) is None:
            continue  # an optimiser's own parts are torch's to check; None is for what is unused
        if path[-1].rpartition(".")[2] in case.inert:
            continue
        accepted = False
        resumed = Training(case)
        with suppress(*REFUSALS):
            resumed.load(changed(saved, path, drop=True))
            resumed.run(1)
            accepted = True
        assert not accepted, path


@EVERY_CASE
@pytest.mark.parametrize("depth", [full(2), pytest.param(3, marks=pytest.mark.slow)])
def test_every_part_of_a_state_matters(case, depth):
    """Give a part the value it had in another run: this run becomes another, or it is refused."""
    stranger, training = Training(case, OTHER_SEED), Training(case)
    stranger.run(1)
    strange = stranger.save()
    training.run(case.saved_at)
    saved = training.save()
    wanted, weights = training.run(3), training.weights()
    unused = []
    for path in parts(saved):
        deepest = 2 if path[0] == "network" or "rng" in path or "env" in path else 3
        if len(path) > min(depth, deepest) or path[-1] in case.inert:
            continue
        try:
            other = at(strange, path)
        except (KeyError, TypeError):
            continue
        if not differ({"it": other}, {"it": at(saved, path)}):
            continue
        resumed = Training(case)
        try:
            resumed.load(changed(saved, path, other))
            same = resumed.run(3) == wanted
        except (*REFUSALS, FloatingPointError, AssertionError, IndexError):
            continue
        if same and not differ(resumed.weights(), weights):
            unused.append("/".join(map(str, path)))
    assert unused == []


# -- seeds --------------------------------------------------------------------------------------


@EVERY_CASE
def test_one_seed_one_run_and_another_seed_another(case):
    first, same, other = Training(case), Training(case), Training(case, OTHER_SEED)
    metrics = first.run(2)
    assert same.run(2) == metrics
    assert_same(same.save(), first.save())
    assert other.run(2) != metrics
    assert differ(other.weights(), first.weights())


@EVERY_CASE
def test_what_others_draw_does_not_matter(case):
    """Nothing random comes from a generator that is shared by the whole process."""
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        training = Training(case)
        runs.append((training.run(2), training.weights()))
    assert runs[0][0] == runs[1][0]
    assert not differ(runs[0][1], runs[1][1])


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.full
@EVERY_CASE
def test_metrics_are_finite_numbers_and_counts_grow(case):
    training = Training(case)
    before = {"iteration": 0, "env_steps": 0, "episodes": 0}
    for metrics in training.run(4):
        for name, value in metrics.items():
            assert type(value) in (float, int), name
            assert math.isfinite(value), name
            if name not in before:
                assert type(value) is float, name
        assert metrics["iteration"] == before["iteration"] + 1
        assert metrics["env_steps"] > before["env_steps"]
        assert metrics["episodes"] >= before["episodes"]
        before = {name: int(metrics[name]) for name in before}


@pytest.fixture
def unjudged(monkeypatch):
    """Runs that do not stop to play whole episodes: what they learn is not the question."""
    monkeypatch.setattr(Trainer, "_evaluate", lambda *_, **__: {})


@pytest.mark.full
@EVERY_CASE
@pytest.mark.usefixtures("unjudged")
def test_a_budget_in_steps_ends_with_the_iteration_that_reaches_it(case, tmp_path):
    first, second = (metrics["env_steps"] for metrics in Training(case).run(2))
    for iterations, steps in ((1, first), (2, first + 1), (2, second)):
        recipe = case.recipe(budget={"env_steps": int(steps)})
        outcome = start(recipe, tmp_path / str(steps)).train()
        assert outcome.finished
        assert outcome.iterations == iterations
        if case.kind != "dagger":  # which has no schedule, and iterations of its own
            assert total_iterations(recipe) in (iterations, None)


WHERE = re.compile(
    r"of update [\d,]+ \(step [\d,]+\) is -?(nan|inf)|\b\w+ is -?(nan|inf)|"
    r"is not a finite number|of (row|copy) \d+ .*not finite"
)


def went_wrong(trainer: Trainer, listener: Callable[[IterationInfo], None] | None = None) -> str:
    """What the trainer says when it cannot go on."""
    with pytest.raises(TrainingError) as trouble:
        trainer.train(listener)
    said = str(trouble.value)
    assert WHERE.search(said), said
    assert "\n" not in said
    assert "a smaller learning_rate is the first thing to try" in said
    return said


@EVERY_CASE
@pytest.mark.usefixtures("unjudged")
@pytest.mark.parametrize("bad", [math.nan, full(math.inf)])
def test_weights_that_are_no_numbers_are_noticed(case, bad, tmp_path):
    names = list(build_algorithm(case.recipe())[1].modules)
    for name in names:
        trainer = start(case.recipe(), tmp_path / name)

        def spoil(update: IterationInfo, name: str = name, trainer: Trainer = trainer) -> None:
            if update.iteration == 2:
                with torch.no_grad():
                    next(iter(trainer.network.modules[name].parameters())).flatten()[0] = bad

        assert re.search(r"at iteration 3 \(\w+\): ", went_wrong(trainer, spoil))


@EVERY_CASE
@pytest.mark.usefixtures("unjudged")
def test_a_reward_that_is_no_number_is_noticed(case, tmp_path, monkeypatch):
    step = BatchEnv.step
    trainer = start(case.recipe(), tmp_path / "run")
    calls = 0

    def broken(env: BatchEnv, actions: np.ndarray) -> Any:
        nonlocal calls
        calls += 1
        found = step(env, actions)
        if calls < 10:
            return found
        reward = found.reward.copy()
        reward[0] = math.nan
        return found._replace(reward=reward)

    monkeypatch.setattr(BatchEnv, "step", broken)
    assert re.search(r"at iteration [123] \(\w+\): ", went_wrong(trainer))


# -- devices ------------------------------------------------------------------------------------


def tensors_in(root: object) -> dict[int, torch.Tensor]:
    """Every tensor that can be reached from an object."""
    found: dict[int, torch.Tensor] = {}
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            found[id(item)] = item
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
        elif type(item).__module__.startswith(("compagnon.rl", "torch.nn", "torch.optim")):
            waiting += getattr(item, "__dict__", {}).values()
    return found


@EVERY_CASE
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
        ),
    ],
)
def test_everything_lives_on_the_network_s_device(case, device):
    training = Training(case, device=device)
    training.run(2)
    state = training.save()
    training.load(state)
    training.run(1)
    found = tensors_in([training.algorithm, training.network])
    assert len(found) > 5
    # torch keeps an optimiser's counts of steps on the CPU unless it is fused
    elsewhere = [tensor.shape for tensor in found.values() if tensor.device.type != device]
    assert elsewhere == []
    assert training.network.device.type == device
    training.network.as_policy("it").act(*moments(case, 2))


# -- shapes -------------------------------------------------------------------------------------


class Odd(gymnasium.Env[Any, Any]):
    """An environment of any spaces."""

    def __init__(self, observes: spaces.Space[Any], acts: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observes, acts

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}


VECTOR = spaces.Box(-1.0, 1.0, (2,), np.float32)
TWO = spaces.Discrete(2)
ODD: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "actions that are pictures": (VECTOR, spaces.Box(-1.0, 1.0, (2, 2), np.float32)),
    "actions that are words": (VECTOR, spaces.Text(3)),
    "words as observations": (spaces.Text(3), TWO),
    "sequences as observations": (spaces.Sequence(VECTOR), TWO),
    "pictures as observations": (spaces.Box(0, 255, (84, 84, 3), np.uint8), TWO),
}
ENCODED: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "actions from 1": (VECTOR, spaces.Discrete(3, start=1)),
    "many actions at once": (VECTOR, spaces.MultiDiscrete([2, 2])),
    "numbers as observations": (spaces.Discrete(4), TWO),
    "small pictures": (spaces.Box(0, 255, (8, 8, 3), np.uint8), TWO),
    "parts": (spaces.Dict({"stock": VECTOR, "late": TWO}), TWO),
}


def registered(kinds: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]]) -> list[str]:
    """The ids of these environments, by name."""
    ids = []
    for name, (observes, acts) in kinds.items():
        ids.append(f"tests/Odd{''.join(word.title() for word in name.split())}-v0")
        if ids[-1] not in gymnasium.registry:
            gymnasium.register(
                id=ids[-1],
                entry_point=lambda o=observes, a=acts: Odd(o, a),
                disable_env_checker=True,
            )
    return ids


SERVED: dict[str, str] = {"discrete": "CartPole-v1", "box": "Pendulum-v1"}


def settings_of(kind: str) -> dict[str, Any]:
    """The kind's own defaults, with an expert that plays anything discrete."""
    settings: dict[str, Any] = {"kind": kind}
    if kind == "dagger":
        settings["expert"] = "constant:0"
    if kind in ("hybrid", "expert_iteration"):
        settings["dagger"] = {"expert": "constant:0", "num_envs": 2}
        settings["ppo"] = {"num_envs": 2}
    else:
        settings["num_envs"] = 2
    return settings


def forks_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worlds be built for a look-ahead that bring nothing for it; nothing is looked at here."""
    monkeypatch.setattr(World, "forks", lambda world, schema: LadderForks())


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("actions", SERVED)
def test_actions_are_served_or_refused_in_one_sentence(kind, actions, monkeypatch):
    forks_everywhere(monkeypatch)
    case = Case(settings_of(kind), SERVED[actions])
    if actions in SETTINGS[kind].serves:
        assert any(each.kind == kind for each in CASES.values())
        build_algorithm(case.recipe())
        return
    with pytest.raises(InputError) as refusal:
        build_algorithm(case.recipe())
    said = str(refusal.value)
    assert re.search(rf"{kind} serves .* actions; those of {SERVED[actions]} are ", said), said
    assert "\n" not in said


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("env_id", registered(ODD))
def test_other_spaces_are_refused_in_one_sentence(kind, env_id):
    with pytest.raises(InputError, match=re.escape(env_id)) as refusal:
        build_algorithm(Case(settings_of(kind), env_id).recipe())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", [kind for kind, it in SETTINGS.items() if "discrete" in it.serves])
@pytest.mark.parametrize("env_id", registered(ENCODED))
def test_spaces_that_a_vector_can_hold_are_served(kind, env_id, monkeypatch):
    forks_everywhere(monkeypatch)
    build_algorithm(Case(settings_of(kind), env_id).recipe())


def test_every_algorithm_has_cases():
    assert {case.kind for case in CASES.values()} == set(SETTINGS)
    assert {CASES[name].kind for name in QUICK} == set(SETTINGS)
    for kind in SETTINGS:
        own = [case for case in CASES.values() if case.kind == kind]
        assert any(case.lesson is not None for case in own), kind
        served = {Schema.of(BatchEnv(each.env_id, each.env_args, 1)).action.kind for each in own}
        assert served == set(SETTINGS[kind].serves), kind


# -- learning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, full(1)])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name) if name in QUICK else full(case, id=name)
        for name, case in CASES.items()
        if case.lesson is not None
    ],
)
def test_it_learns_to_say_what_it_sees(case, seed, tmp_path, monkeypatch):
    forks_everywhere(monkeypatch)
    recipe = case.lesson_recipe(seed, tmp_path)
    algorithm, network = build_algorithm(recipe)
    for _ in range(case.iterations):
        algorithm.iterate()
    policy = network.as_policy("it")
    reached = play_episodes(recipe.env.id, {}, policy, list(range(200))).returns.mean()
    best = 1.0 if policy.schema.action.kind == "discrete" else 0.0
    assert reached >= best - case.within
