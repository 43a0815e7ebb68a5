"""SBX's DQN, updated on request: it runs in an environment of its own, where jax is installed.

    python control_sbx.py TRANSITIONS.npz BATCH_SIZE HIDDEN

Each line on standard input is "CALLS UPDATES": so many calls of `train`, each of so many updates. A
line comes back when they are done. It imports nothing of what it is measured against.
"""

import os
import sys

# jax counts the cores when it is imported: one, as everybody here has
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sbx import DQN  # noqa: E402
from stable_baselines3.common.logger import Logger  # noqa: E402


def main(transitions: str, batch_size: int, hidden: int) -> None:
    torch.set_num_threads(1)
    data = np.load(transitions)
    model = DQN(
        "MlpPolicy",
        "MountainCar-v0",
        learning_rate=3e-4,
        buffer_size=len(data["rewards"]),
        batch_size=batch_size,
        gamma=0.99,
        policy_kwargs={"net_arch": [hidden, hidden]},
        seed=0,
    )
    model.set_logger(Logger(None, []))
    buffer = model.replay_buffer
    for name in ("observations", "next_observations", "actions", "rewards", "dones"):
        column = getattr(buffer, name)
        column[...] = data[name].reshape(column.shape)
    buffer.full = True
    print("ready", flush=True)
    for line in sys.stdin:
        calls, updates = (int(part) for part in line.split())
        for _ in range(calls):
            model.train(batch_size, updates)
        model.policy.qf_state.params["params"]["Dense_0"]["bias"].block_until_ready()
        print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
