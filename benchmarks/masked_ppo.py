"""Training speed of masked PPO: ours, MaskablePPO on the same copies, and as it is usually run."""

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numba
import torch
import tyro

from compagnon.envs import BatchEnv
from compagnon.policy import Schema
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.ppo import PPO, PPOSettings
from compagnon.rl.recipe import load_recipe
from harness import (
    Rates,
    Target,
    Work,
    console,
    machine,
    print_machine,
    shortened,
    table,
    take_turns,
    targets_table,
    write_json,
)
from rivals import MaskablePPO, WorkshopVecEnv, one_masked_env

OURS, SAME, USUAL = "ours", "MaskablePPO, same copies", "MaskablePPO, one copy, its defaults"


@dataclass
class Settings:
    """Measure training: environment steps over the wall clock, collecting and learning included."""

    num_envs: int = 1024
    """Copies of the environment."""
    rollout_steps: int = 32
    """Steps of each copy between two updates."""
    minibatch_size: int = 4096
    """Rows of one gradient step."""
    epochs: int = 3
    """Passes over a rollout."""
    hidden: tuple[int, ...] = (64, 64)
    """Sizes of the hidden layers, actor and critic alike."""
    recipe: str = "workshop-tight"
    """Whose environment to train in."""
    threads: int = 2
    """Threads of the networks and of the environment."""
    rounds: int = 3
    """How often each contender has its turn."""
    seconds: float = 5.0
    """Length of one turn; it ends with the iteration that passes it."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""

    @property
    def rows(self) -> int:
        """Rows of a rollout."""
        return self.num_envs * self.rollout_steps


class TimedPPO(PPO):
    """Our PPO, with the time that each of its three parts took."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.split = dict.fromkeys(("collect", "credit", "learn"), 0.0)

    def _collect(self) -> None:
        self._timed("collect", super()._collect)

    def _credit(self, *given: Any) -> Any:
        return self._timed("credit", super()._credit, *given)

    def _learn(self, *given: Any) -> Any:
        return self._timed("learn", super()._learn, *given)

    def _timed(self, part: str, work: Any, *given: Any) -> Any:
        began = time.perf_counter()
        result = work(*given)
        if self.iteration > 0:  # the first one compiles
            self.split[part] += time.perf_counter() - began
        return result


def main(settings: Settings) -> None:
    """Measure, print, and write."""
    settings = shortened(settings, num_envs=8, minibatch_size=64, rounds=1, seconds=0.01)
    numba.set_num_threads(min(settings.threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(settings.threads)  # after numba, which sets it too when it wakes
    env_id, env_args = environment(settings)
    ours = our_ppo(settings, env_id, env_args)
    inputs, actions = ours.rollout.obs.shape[2], ours.rollout.action_mask.shape[2]
    products, with_tanh = (
        floor(settings, inputs, actions, activated) for activated in (False, True)
    )
    contenders: dict[str, Work] = {
        OURS: lambda: ours.iterate() and settings.rows,
        SAME: same_copies(settings, env_id, env_args),
        USUAL: usual(env_id, env_args, {"n_steps": 128} if settings.quick else {}),
        "bare matrix products": products,
        "matrix products and tanh": with_tanh,
    }
    about = machine()
    rates = take_turns(contenders, settings.rounds, settings.seconds)
    print_results(settings, about, rates, ours, env_args)


def environment(settings: Settings) -> tuple[str, dict[str, Any]]:
    """The recipe's environment, with scaled inputs: MaskablePPO brings no scaler of its own."""
    spec = load_recipe(settings.recipe).env
    return spec.id, {**spec.args, "scaling": "published"}


def our_ppo(settings: Settings, env_id: str, env_args: dict[str, Any]) -> TimedPPO:
    env = BatchEnv(env_id, env_args, settings.num_envs)
    network = PolicyNetwork(Schema.of(env), settings.hidden, "tanh", 0)
    ppo = PPOSettings(
        num_envs=settings.num_envs,
        rollout_steps=settings.rollout_steps,
        epochs=settings.epochs,
        minibatch_size=settings.minibatch_size,
        learning_rate=3e-4,
        gamma=0.999,
        gae_lambda=0.95,
        clip_coef=0.2,
        entropy_coef=0.003,
        max_grad_norm=0.5,
    )
    return TimedPPO(ppo, network, env, 0)


def same_copies(settings: Settings, env_id: str, env_args: dict[str, Any]) -> Work:
    """MaskablePPO with all that can be set set as ours."""
    model = MaskablePPO(
        "MlpPolicy",
        WorkshopVecEnv(gymnasium.make_vec(env_id, num_envs=settings.num_envs, **env_args)),
        learning_rate=3e-4,
        n_steps=settings.rollout_steps,
        batch_size=settings.minibatch_size,
        n_epochs=settings.epochs,
        gamma=0.999,
        gae_lambda=0.95,
        clip_range=0.2,
        ent_coef=0.003,
        max_grad_norm=0.5,
        policy_kwargs={
            "net_arch": {"pi": list(settings.hidden), "vf": list(settings.hidden)},
            "activation_fn": torch.nn.Tanh,
        },
        seed=0,
        device="cpu",
    )
    return one_iteration(model)


def usual(env_id: str, env_args: dict[str, Any], few: dict[str, int]) -> Work:
    """MaskablePPO as its documentation shows it: one copy in ActionMasker, nothing set."""
    env = one_masked_env(gymnasium.make(env_id, **env_args))
    return one_iteration(MaskablePPO("MlpPolicy", env, seed=0, device="cpu", **few))


def one_iteration(model: MaskablePPO) -> Work:
    """A rollout and the updates from it."""
    rows = model.n_steps * model.n_envs

    def work() -> int:
        model.learn(rows, reset_num_timesteps=False)
        return rows

    return work


def floor(settings: Settings, inputs: int, actions: int, activated: bool) -> Work:
    """The matrix products of one iteration and nothing else, on random numbers.

    Collecting takes the actor forward, crediting the critic forward, and each epoch both of them
    forward and backward: for each layer the gradient of its weights and, but for the first layer,
    of its inputs. What no implementation with the same numbers can save.
    """
    actor = weights([inputs, *settings.hidden, actions])
    critic = weights([inputs, *settings.hidden, 1])
    batches = max(1, settings.rows // settings.minibatch_size)
    rows = settings.rows // batches
    at_once, whole = buffers(actor, settings.num_envs), buffers(critic, settings.rows)
    actor_batch, critic_batch = buffers(actor, rows), buffers(critic, rows)

    def work() -> int:
        with torch.inference_mode():
            for _ in range(settings.rollout_steps):
                forward(actor, at_once, activated)
            forward(critic, whole, activated)
            for _ in range(settings.epochs * batches):
                for layers, values in ((actor, actor_batch), (critic, critic_batch)):
                    forward(layers, values, activated)
                    backward(layers, values, activated)
        return settings.rows

    return work


def weights(sizes: list[int]) -> list[torch.Tensor]:
    return [torch.randn(a, b) / a**0.5 for a, b in pairwise(sizes)]


@dataclass
class Buffers:
    """The inputs of each layer and the outputs; gradients of both; gradients of the weights."""

    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    of_weights: list[torch.Tensor]


def buffers(layers: list[torch.Tensor], rows: int) -> Buffers:
    sizes = [layers[0].shape[0], *(layer.shape[1] for layer in layers)]
    return Buffers(
        [torch.randn(rows, size) for size in sizes],
        [torch.randn(rows, size) for size in sizes],
        [torch.empty_like(layer) for layer in layers],
    )


def forward(layers: list[torch.Tensor], at: Buffers, activated: bool) -> None:
    for index, layer in enumerate(layers):
        torch.mm(at.values[index], layer, out=at.values[index + 1])
        if activated and index < len(layers) - 1:
            at.values[index + 1].tanh_()


def backward(layers: list[torch.Tensor], at: Buffers, activated: bool) -> None:
    for index in reversed(range(len(layers))):
        torch.mm(at.values[index].T, at.gradients[index + 1], out=at.of_weights[index])
        if index:
            torch.mm(at.gradients[index + 1], layers[index].T, out=at.gradients[index])
            if activated:
                torch.ops.aten.tanh_backward.grad_input(
                    at.gradients[index], at.values[index], grad_input=at.gradients[index]
                )


def print_results(
    settings: Settings,
    about: dict[str, Any],
    rates: dict[str, Rates],
    ours: TimedPPO,
    env_args: dict[str, Any],
) -> None:
    speed = rates[OURS].median
    targets = [
        Target("ours", speed, 60_000, " steps/s"),
        Target(f"ours / {SAME}", rates[OURS].times(rates[SAME]), 2.5, " x"),
        Target(f"ours / {USUAL}", rates[OURS].times(rates[USUAL]), 20, " x"),
    ]
    total = sum(ours.split.values())
    split = {part: seconds / total for part, seconds in ours.split.items()}
    screen = console()
    print_machine(screen, about)
    layers = "-".join(map(str, settings.hidden))
    screen.print(
        f"{settings.num_envs:,} copies x {settings.rollout_steps} steps, minibatches of "
        f"{settings.minibatch_size:,}, {settings.epochs} epochs, {layers} tanh, "
        f"threads: {settings.threads}; {settings.recipe}: {env_args}\n"
        f"{settings.rounds} rounds of {settings.seconds:g} s or more, after one iteration each "
        "that is not counted\n",
        soft_wrap=True,
    )
    rows = [
        [
            name,
            f"{rate.median:,.0f}",
            rate.spread,
            f"{1e6 / rate.median:,.1f}",
            f"{rate.cpu:,.1f}",
            f"{rates[OURS].times(rate):,.2f}",
            f"{rate.seconds:,.0f}",
        ]
        for name, rate in rates.items()
    ]
    columns = [
        "",
        "steps/s",
        "slowest to fastest",
        "us/step",
        "CPU us/step",
        "ours is x",
        "seconds",
    ]
    screen.print(
        table(
            "Environment steps a second, learning included (median of the rounds)", columns, rows
        ),
        "",
    )
    parts = [[part, f"{1e6 * share / speed:.1f}", f"{share:.0%}"] for part, share in split.items()]
    screen.print(table("Where our time goes", ["", "us/step", "share"], parts), "")
    screen.print(targets_table(targets))
    figures = {
        "machine": about,
        "settings": {key: value for key, value in vars(settings).items() if key != "json"},
        "env_args": env_args,
        "rates": {name: rate.as_dict() for name, rate in rates.items()},
        "split": split,
        "targets": [{**vars(target), "met": target.met} for target in targets],
    }
    write_json(settings.json, figures)


if __name__ == "__main__":
    main(tyro.cli(Settings))
