"""Time of one DQN update: ours, three others, and the matrix products that none can do without."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer as TheirReplay
from stable_baselines3.common.logger import Logger
from torch import nn

from compagnon.envs import BatchEnv
from compagnon.policy import Schema
from compagnon.rl.buffers.replay import Transitions
from compagnon.rl.dqn import DQN, DQNSettings, QNetwork
from compagnon.rl.fast.q_values import td_gradient, td_targets
from harness import Rates, Target, Work, table, take_turns, targets_table

ENV, BATCH, HIDDEN, ROWS = "MountainCar-v0", 128, 128, 10_000
AT_ONCE = 8  # updates of one training, as the tuned settings have it
OURS, SB3, PLAIN = "ours", "Stable-Baselines3", "plain loop"
SBX, SBX_SINGLE = f"SBX, {AT_ONCE} updates a call", "SBX, 1 update a call"
FLOOR, NUMPY_FLOOR = "bare products, torch", "bare products, numpy"

Columns = dict[str, NDArray[Any]]


def measure(rounds: int, seconds: float, sbx_python: str | None) -> tuple[list[Any], Columns]:
    """(tables and sentences to print, figures to keep)."""
    columns = random_play()
    ours = our_dqn(columns)
    contenders: dict[str, Work] = {
        OURS: lambda: repeat(ours._update),
        SB3: sb3(columns),
        PLAIN: plain_loop(columns),
    }
    missing = None
    with ExitStack() as stack:
        if sbx_python is None:
            missing = "SBX was not measured: --sbx-python names no interpreter that has it."
        else:
            try:
                contenders |= stack.enter_context(sbx(sbx_python, columns))
            except OSError as error:
                missing = f"SBX was not measured: {error}"
        contenders |= {FLOOR: floor(), NUMPY_FLOOR: numpy_floor()}
        rates = take_turns(contenders, rounds, seconds)
    parts = take_turns(our_parts(ours), max(3, rounds // 3), seconds)
    about = (
        f"batch {BATCH}, 2 x {HIDDEN} ReLU on {ENV}: rows drawn from {ROWS:,}, target network, "
        f"loss, gradients, Adam; one thread, {rounds} rounds of {seconds:g} s\n"
    )
    speed = arithmetic() * rates[FLOOR].median / 1e9
    note = f"the products are {arithmetic() / 1e6:.1f} MFLOP; torch does {speed:.0f} GFLOP/s\n"
    shown = [about, updates_table(rates), *([missing] if missing else []), note]
    shown += [parts_table(parts), ""]
    targets = [
        Target(f"ours / {name}", rates[OURS].times(rates[name]), 1.0, " x")
        for name in rates
        if name not in (OURS, FLOOR, NUMPY_FLOOR)
    ]
    figures = {
        "rates": {name: rate.as_dict() for name, rate in rates.items()},
        "ours_is_times": {name: rates[OURS].times(rate) for name, rate in rates.items()},
        "floor_gflop_a_second": speed,
        "parts": {name: rate.as_dict() for name, rate in parts.items()},
        "missing": missing,
        "targets": [{**vars(target), "met": target.met} for target in targets],
    }
    return [*shown, targets_table(targets)], figures


def random_play() -> Columns:
    """What everyone learns from: MountainCar played at random, under SB3's names."""
    env = gymnasium.make(ENV)
    env.action_space.seed(0)
    obs, _ = env.reset(seed=0)
    columns: Columns = {
        "observations": np.zeros((ROWS, 2), np.float32),
        "next_observations": np.zeros((ROWS, 2), np.float32),
        "actions": np.zeros(ROWS, np.int64),
        "rewards": np.zeros(ROWS, np.float32),
        "dones": np.zeros(ROWS, np.float32),
    }
    for row in range(ROWS):
        action = env.action_space.sample()
        next_obs, reward, terminated, truncated, _ = env.step(action)
        for name, value in zip(columns, (obs, next_obs, action, reward, terminated), strict=True):
            columns[name][row] = value
        obs = env.reset()[0] if terminated or truncated else next_obs
    return columns


def repeat(update: Any) -> int:
    """One training: so many updates."""
    for _ in range(AT_ONCE):
        update()
    return AT_ONCE


# -- contenders -----------------------------------------------------------------------------------


def our_dqn(columns: Columns) -> DQN:
    env = BatchEnv(ENV, {}, 1)
    network = QNetwork(Schema.of(env), (HIDDEN, HIDDEN), "relu", 0, scale_inputs="ranges")
    settings = DQNSettings(capacity=ROWS, batch_size=BATCH, learning_rate=3e-4, gamma=0.99)
    dqn = DQN(settings, network, env, 0)
    dqn.replay.add(
        Transitions(
            columns["observations"],
            columns["actions"],
            columns["rewards"],
            np.where(columns["dones"], 0, 0.99).astype(np.float32),
            columns["next_observations"],
            np.ones((ROWS, 3), np.bool_),
        )
    )
    return dqn


def sb3(columns: Columns) -> Work:
    model = stable_baselines3.DQN(
        "MlpPolicy",
        ENV,
        learning_rate=3e-4,
        buffer_size=ROWS,
        batch_size=BATCH,
        gamma=0.99,
        policy_kwargs={"net_arch": [HIDDEN, HIDDEN]},
        seed=0,
        device="cpu",
    )
    model.set_logger(Logger(None, []))
    assert isinstance(model.replay_buffer, TheirReplay)
    fill(model.replay_buffer, columns)

    def work() -> int:
        model.train(gradient_steps=AT_ONCE, batch_size=BATCH)
        return AT_ONCE

    return work


def fill(buffer: TheirReplay, columns: Columns) -> None:
    for name, values in columns.items():
        column = getattr(buffer, name)
        column[...] = values.reshape(column.shape)
    buffer.full = True


def plain_loop(columns: Columns) -> Work:
    """The update as a script in one file does it, with torch's modules and SB3's memory."""

    def network() -> nn.Sequential:
        sizes = nn.Linear(2, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 3)
        return nn.Sequential(sizes[0], nn.ReLU(), sizes[1], nn.ReLU(), sizes[2])

    env = gymnasium.make(ENV)
    memory = TheirReplay(ROWS, env.observation_space, env.action_space, "cpu")
    fill(memory, columns)
    online, target = network(), network()
    target.load_state_dict(online.state_dict())
    adam = torch.optim.Adam(online.parameters(), lr=3e-4)

    def update() -> None:
        batch = memory.sample(BATCH)
        with torch.no_grad():
            best = target(batch.next_observations).max(dim=1).values
            wanted = batch.rewards.flatten() + 0.99 * best * (1 - batch.dones.flatten())
        said = online(batch.observations).gather(1, batch.actions).squeeze(1)
        loss = nn.functional.mse_loss(said, wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()

    return lambda: repeat(update)


@contextmanager
def sbx(python: str, columns: Columns) -> Iterator[dict[str, Work]]:
    """SBX in its own process, which works when it is told to and otherwise sleeps.

    Raises:
        OSError: it does not start.
    """
    script = Path(__file__).with_name("control_sbx.py")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "transitions.npz"
        np.savez(kept, **columns)  # type: ignore[arg-type]
        command = [python, str(script), str(kept), str(BATCH), str(HIDDEN)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            told, heard = child.stdin, child.stdout

            def ask(calls: int, updates: int) -> int:
                told.write(f"{calls} {updates}\n")
                told.flush()
                if heard.readline() != "done\n":
                    raise OSError(f"{python} stopped; its own message is above")
                return calls * updates

            if heard.readline() != "ready\n":
                raise OSError(f"{python} cannot run {script.name}; its own message is above")
            # few and long requests, so that asking costs nothing that could be seen
            yield {SBX: lambda: ask(10, AT_ONCE), SBX_SINGLE: lambda: ask(40, 1)}
            told.close()


@dataclass
class Products:
    """What the matrix products of an update read and write: random numbers in kept memory."""

    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    of_weights: list[torch.Tensor]

    @classmethod
    def random(cls) -> "Products":
        sizes = layer_sizes()
        weights = [torch.randn(b, a) / a**0.5 for a, b in pairwise(sizes)]
        biases = [torch.zeros(b) for b in sizes[1:]]
        values, gradients = ([torch.randn(BATCH, size) for size in sizes] for _ in range(2))
        return cls(weights, biases, values, gradients, [torch.empty_like(w) for w in weights])


def floor() -> Work:
    """The matrix products of an update and nothing else.

    Target network forward, network forward, and backward for each layer the gradient of its weights
    and, but for the first one, of its inputs. No activation, no bias gradient, no optimiser.
    """
    p = Products.random()
    layers = range(len(p.weights))

    def update() -> None:
        for _ in range(2):
            for i in layers:
                torch.addmm(p.biases[i], p.values[i], p.weights[i].t(), out=p.values[i + 1])
        for i in reversed(layers):
            torch.mm(p.gradients[i + 1].t(), p.values[i], out=p.of_weights[i])
            if i:
                torch.mm(p.gradients[i + 1], p.weights[i], out=p.gradients[i])

    def work() -> int:
        with torch.inference_mode():
            return repeat(update)

    return work


def numpy_floor() -> Work:
    """The same products, without the biases, by the library that numpy brings."""
    p = Products.random()
    weights, values, gradients, of_weights = (
        [tensor.numpy() for tensor in group]
        for group in (p.weights, p.values, p.gradients, p.of_weights)
    )
    layers = range(len(weights))

    def update() -> None:
        for _ in range(2):
            for i in layers:
                np.matmul(values[i], weights[i].T, out=values[i + 1])
        for i in reversed(layers):
            np.matmul(gradients[i + 1].T, values[i], out=of_weights[i])
            if i:
                np.matmul(gradients[i + 1], weights[i], out=gradients[i])

    return lambda: repeat(update)


def layer_sizes() -> list[int]:
    return [2, HIDDEN, HIDDEN, 3]


def arithmetic() -> float:
    """Floating-point operations of the products of one update."""
    products = [2 * BATCH * a * b for a, b in pairwise(layer_sizes())]
    return 4 * sum(products) - products[0]


# -- where our time goes --------------------------------------------------------------------------


def our_parts(dqn: DQN) -> dict[str, Work]:
    """The steps of our update, each alone, over and over on the same batch."""
    network, replay = dqn.network, dqn.replay
    rows, weights = dqn._draw()
    batch = replay.take(rows)
    x = network.scaled(batch.obs)
    valuing = dqn.steps._target.outputs(x)
    values = dqn.steps._online.outputs(x)

    def kernels() -> None:
        targets = td_targets(batch.rewards, batch.discounts, valuing, valuing, batch.next_mask)
        td_gradient(values, batch.actions, targets, weights, True)

    gradient = np.full((BATCH, 3), 1 / BATCH, np.float32)

    def forward_and_backward() -> None:
        dqn.steps._online.forward(x)
        dqn.steps._online.backward(gradient)

    def adam() -> None:
        dqn.steps._adam.gradient.fill_(1e-3)
        dqn.steps._adam.step()

    parts = {
        "draw and take rows": lambda: replay.take(dqn._draw()[0]),
        "scale inputs, twice": lambda: [network.scaled(batch.obs) for _ in "12"],
        "target network forward": lambda: dqn.steps._target.outputs(x),
        "loss and its gradient": kernels,
        "forward and backward": forward_and_backward,
        "clip and Adam": adam,
    }
    return {name: lambda part=part: repeat(part) for name, part in parts.items()}  # type: ignore[misc]


# -- tables ---------------------------------------------------------------------------------------


def updates_table(rates: dict[str, Rates]) -> Any:
    rows = [
        [
            name,
            f"{1e3 / rate.median:.3f}",
            f"{1e3 / max(rate.per_round):.3f}",
            f"{1e3 / min(rate.per_round):.3f}",
            f"{rates[OURS].times(rate):.2f}",
            f"{rate.times(rates[FLOOR]) ** -1:.2f}",
        ]
        for name, rate in rates.items()
    ]
    columns = ["", "ms", "fastest", "slowest", "ours is x", "times the floor"]
    return table("Milliseconds of one DQN update (median of the rounds)", columns, rows)


def parts_table(parts: dict[str, Rates]) -> Any:
    total = sum(1 / rate.median for rate in parts.values())
    rows = [
        [
            name,
            f"{1e6 / rate.median:.1f}",
            f"{1e6 / max(rate.per_round):.1f}",
            f"{1 / rate.median / total:.0%}",
        ]
        for name, rate in parts.items()
    ]
    return table("Where our time goes: each part alone", ["", "us", "fastest", "share"], rows)
