"""Slow envs in processes of their own, a share of them in each.

Each process holds a `BatchEnv` of its share (the class is handed in, since it stands above this
module) and steps it as it would be stepped here, so that the same seeds give the same episodes to
the last bit, however many processes there are. Gymnasium's `AsyncVectorEnv` starts a process for
every env, and hands over what each env says key by key.
"""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, ClassVar, Final

import cloudpickle
import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from compagnon.envs.finding import find_env, split_env_id
from compagnon.errors import FaultyEnvError, InputError

BatchMaker = Callable[[str, dict[str, Any], int], Any]
_SECONDS_TO_END: Final = 5.0  # for a process to close its environments before it is made to


class ProcessVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """N envs in processes; an ended episode is followed by the next one within the same step.

    `info` holds whole arrays, as our compiled environments hand them over.

    Args:
        env_id: any id but one of ours, which are stepped together in one kernel.
        num_envs: how many envs.
        arguments: the environment's.
        batch: makes the envs of one process, from an id, arguments and their number: `BatchEnv`,
            or another class that can be pickled and does as it does.
        workers: how many processes; None for one a processor, as far as there are envs.

    Raises:
        InputError: the environment cannot be made.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium itself uses it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        arguments: dict[str, Any],
        batch: BatchMaker,
        workers: int | None = None,
    ) -> None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        workers = min(num_envs, workers or processors or os.cpu_count() or 1)
        if workers < 1:
            raise InputError(f"workers={workers}: at least 1")
        self.env_id, self.num_envs = env_id, num_envs
        bounds = [num_envs * k // workers for k in range(workers + 1)]
        self.shares = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        # Not a fork: this process has threads of numba, BLAS or torch, which a fork would lose.
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"
        )
        self.processes: list[Any] = []
        self._pipes: list[Connection] = []
        self._begun = False
        self.not_restored: FaultyEnvError | None = None
        # A class that only this program knows, of a notebook for example, travels with its code.
        made = cloudpickle.dumps((find_env(env_id), batch))
        for share in self.shares:
            ours, theirs = context.Pipe()
            size = share.stop - share.start
            process = context.Process(
                target=_work, args=(theirs, env_id, made, arguments, size), daemon=True
            )
            process.start()
            theirs.close()
            self.processes.append(process)
            self._pipes.append(ours)
        try:
            self._describe(self._answers())
        except BaseException:
            self.close()
            raise

    def _describe(self, described: list[dict[str, Any]]) -> None:
        first = described[0]
        self.single_observation_space = first["observation_space"]
        self.single_action_space = first["action_space"]
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_fields = first["fields"]
        self.product = first["product"]
        self.kpi_names = first["kpi_names"]
        self.reward_term_names = first["reward_term_names"]
        self.distinct_episodes = first["distinct_episodes"]

    # -- Gymnasium's interface ------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every env, with ``seed + i`` or ``seed[i]`` in env i."""
        if seed is None:
            raise InputError("seed: copies in processes are begun with a seed each")
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + k for k in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise InputError(f"seed: {len(seed)} seeds for {self.num_envs} environments")
        self._ask("reset", [seed[share] for share in self.shares])
        self._shown = self._answers()
        self._begun = True
        return self.observe()

    def observe(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """What every env shows now."""
        obs = np.concatenate([obs for obs, _ in self._shown])
        masks = [mask for _, mask in self._shown]
        return obs, {} if masks[0] is None else {"action_mask": np.concatenate(masks)}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Step every env by one action each, all processes at once.

        Raises:
            FaultyEnvError: an environment did what it must not, failed, or its process ended.
        """
        if not self._begun:
            raise ResetNeeded("call reset() before the first step()")
        actions = np.asarray(actions)
        if len(actions) != self.num_envs:
            raise InputError(f"actions of shape {actions.shape}; expected {self.num_envs} of them")
        self._ask("step", [actions[share] for share in self.shares])
        answers = self._answers()
        steps = [step for step, _ in answers]
        self._shown = [(step.obs, step.action_mask) for step in steps]
        obs, info = self.observe()
        info["elapsed"] = np.concatenate([step.duration for step in steps])
        terminated = np.concatenate([step.terminated for step in steps])
        truncated = np.concatenate([step.truncated for step in steps])
        ended = terminated | truncated
        if ended.any():
            info["final_obs"] = np.concatenate([step.next_obs for step in steps])
            info["_final_obs"] = info["_final_info"] = ended
            final: dict[str, Any] = {}
            info["final_info"] = final
            if "action_mask" in info:
                final["action_mask"] = np.concatenate([step.next_action_mask for step in steps])
            kpis = self._kpis(answers)
            if kpis:
                final["kpis"] = kpis
        reward = np.concatenate([step.reward for step in steps])
        return obs, reward, terminated, truncated, info

    def _kpis(self, answers: list[Any]) -> dict[str, NDArray[Any]]:
        """The KPIs by name, and which envs gave them, as Gymnasium hands over a dict."""
        found: dict[str, NDArray[Any]] = {}
        for share, (step, names) in zip(self.shares, answers, strict=True):
            if step.kpis is None:
                continue
            for column, name in enumerate(names):
                values = found.setdefault(name, np.full(self.num_envs, np.nan))
                told = found.setdefault(f"_{name}", np.zeros(self.num_envs, np.bool_))
                values[share] = step.kpis[:, column]
                told[share] = step.terminated | step.truncated
        return found

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        self._ask("state_dict", [()] * len(self.shares))
        return {"workers": self._answers()}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from what `state_dict` gave, to as many processes as there were.

        Returns:
            Whether the envs stand where they stood, see `BatchEnv.load_state_dict`.
        """
        if len(state["workers"]) != len(self.shares):
            raise InputError(
                f"the copies were saved in {len(state['workers'])} processes, and here are "
                f"{len(self.shares)}"
            )
        self._ask("load_state_dict", state["workers"])
        answers = self._answers()
        self._shown = [shown for _, _, shown in answers]
        self._begun = True
        self.not_restored = None
        for k, (_, fault, _) in enumerate(answers):
            if fault is not None and self.not_restored is None:
                self.not_restored = self._placed(k, fault)
        return all(repeated for repeated, _, _ in answers)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002
        """End the processes; one that does not end by itself is made to."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # it has ended already
                pipe.send(("close", ()))
        for process in self.processes:
            process.join(_SECONDS_TO_END)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in self._pipes:
            pipe.close()

    # -- between the processes ------------------------------------------------------------------

    def _ask(self, what: str, parts: list[Any]) -> None:
        for k, (pipe, part) in enumerate(zip(self._pipes, parts, strict=True)):
            try:
                pipe.send((what, part))
            except OSError:
                raise self._ended(k) from None

    def _answers(self) -> list[Any]:
        """What each process answers; all are heard before a fault is told."""
        answers: list[Any] = [None] * len(self._pipes)
        fault: BaseException | None = None
        for k, (pipe, process) in enumerate(zip(self._pipes, self.processes, strict=True)):
            try:
                wait([pipe, process.sentinel])
                if not pipe.poll():
                    raise EOFError
                kind, answers[k] = pickle.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                raise self._ended(k) from None
            if kind != "answer" and fault is None:
                fault = self._fault(k, kind, answers[k])
        if fault is not None:
            raise fault
        return answers

    def _fault(self, k: int, kind: str, what: Any) -> BaseException:
        if kind == "fault":
            return self._placed(k, what)
        if kind == "refusal":
            return InputError(what)
        return FaultyEnvError(self.env_id, f"it failed in the process of {self._copies(k)}\n{what}")

    def _placed(self, k: int, fault: FaultyEnvError) -> FaultyEnvError:
        """A fault of process k, with the number that its env has here."""
        copy = None if fault.copy is None else fault.copy + self.shares[k].start
        return FaultyEnvError(fault.env, fault.what, copy, fault.where)

    def _ended(self, k: int) -> FaultyEnvError:
        process = self.processes[k]
        process.join(_SECONDS_TO_END)
        code = process.exitcode
        how = "stopped answering" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was ended by signal {-code} ({signal.Signals(-code).name})"
        return FaultyEnvError(
            self.env_id,
            f"the process of {self._copies(k)} {how}; a crash of the simulator, or too little "
            "memory, does that",
        )

    def _copies(self, k: int) -> str:
        share = self.shares[k]
        if share.stop - share.start == 1:
            return f"copy {share.start}"
        return f"copies {share.start} to {share.stop - 1}"


def _work(
    pipe: Connection, env_id: str, made: bytes, arguments: dict[str, Any], num_envs: int
) -> None:
    """Answer what is asked until nobody asks any more."""
    # Ctrl-C reaches every process of the terminal; when to end is for the asking one to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        env = _answered(pipe, lambda: _batch(env_id, made, arguments, num_envs))
        if env is None:
            return
        _send(pipe, "answer", _description(env))
        while True:
            what, part = pickle.loads(pipe.recv_bytes())
            if what == "close":
                break
            answer = _answered(pipe, lambda: _done(env, what, part))  # noqa: B023
            if answer is not None:
                _send(pipe, "answer", answer)
        env.close()
    except (EOFError, OSError):  # whoever asked is gone
        pass


def _batch(env_id: str, made: bytes, arguments: dict[str, Any], num_envs: int) -> Any:
    spec, batch = pickle.loads(made)
    module, name = split_env_id(env_id)
    if module is None and name not in gymnasium.registry:
        gymnasium.registry[name] = spec
    return batch(env_id, arguments, num_envs)


def _description(env: Any) -> dict[str, Any]:
    box = env.vec.single_observation_space
    assert isinstance(box, spaces.Box)
    return {
        "observation_space": box,
        "action_space": env.action_space,
        "fields": env.fields,
        "product": env.action_product,
        "kpi_names": env.kpi_names,
        "reward_term_names": env.reward_term_names,
        "distinct_episodes": env.distinct_episodes,
    }


def _done(env: Any, what: str, part: Any) -> Any:
    if what == "step":
        return env.step(part), env.kpi_names
    if what == "state_dict":
        return env.state_dict()
    if what == "load_state_dict":
        repeated = env.load_state_dict(part)
        return repeated, env.not_restored, (env.obs, env.action_mask)
    env.reset(part)
    return env.obs, env.action_mask


def _answered(pipe: Connection, do: Any) -> Any:
    """What `do` gives; None where it failed, which has been answered then."""
    try:
        return do()
    except FaultyEnvError as fault:
        _send(pipe, "fault", fault)
    except InputError as error:
        _send(pipe, "refusal", str(error))
    except Exception:
        _send(pipe, "failure", traceback.format_exc())
    return None


def _send(pipe: Connection, kind: str, what: Any) -> None:
    pipe.send_bytes(pickle.dumps((kind, what), pickle.HIGHEST_PROTOCOL))
