"""The states that an export is judged on: real ones, from play, and ones made to break it."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy.basic import random_policy
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import ActionSchema, Schema

_COPIES = 32
_STRIDE = 4  # neighbouring states are alike: one of so many is kept
_NO_RANGE = 1e9  # some environments write the largest float where they mean no bound


@dataclass(frozen=True)
class States:
    """Observations (M, F) in a policy's own fields, and masks (M, A) for discrete actions."""

    obs: NDArray[np.float32]
    mask: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.obs)

    def rows(self, which: slice) -> "States":
        """Some of them."""
        return States(self.obs[which], None if self.mask is None else self.mask[which])


def real_states(
    policy: NetworkPolicy, env_id: str, env_args: dict[str, Any], count: int, seed: int
) -> States:
    """`count` states of play: half by the policy, a quarter drawn from it, a quarter at random.

    Args:
        policy: not bound; its own fields are what the states hold.
        seed: episodes and draws follow from it.

    Raises:
        InputError: no such environment, or one that the policy cannot act in.
    """
    rng = np.random.default_rng(seed)
    with closing(BatchEnv(env_id, env_args, _COPIES)) as env:
        schema = Schema.of(env)
        bound = policy.bind(schema)
        assert bound.projection is not None
        players = _players(bound, schema)
        env.reset([seed + row for row in range(_COPIES)])
        seen: list[NDArray[np.float32]] = []
        masks: list[NDArray[np.bool_]] = []
        for step in range(_STRIDE * -(-count // _COPIES)):
            if step % _STRIDE == 0:
                seen.append(bound.projection(env.obs).copy())
                if env.action_mask is not None:
                    masks.append(env.action_mask.copy())
            env.step(_actions(env, players, rng))
    mask = np.concatenate(masks)[:count] if masks else None
    return States(np.concatenate(seen)[:count], mask)


def _players(bound: Policy, schema: Schema) -> list[tuple[slice, Policy, bool]]:
    """Which copies are played by whom, and whether by drawing."""
    quarter = _COPIES // 4
    try:
        wild: Policy = random_policy(schema)
    except InputError:  # bounds to draw between are missing
        wild = bound
    return [
        (slice(0, 2 * quarter), bound, False),
        (slice(2 * quarter, 3 * quarter), bound, True),
        (slice(3 * quarter, _COPIES), wild, True),
    ]


def _actions(
    env: BatchEnv, players: list[tuple[slice, Policy, bool]], rng: np.random.Generator
) -> NDArray[Any]:
    parts = []
    for rows, player, drawn in players:
        mask = None if env.action_mask is None else env.action_mask[rows]
        parts.append(player.act(env.obs[rows].copy(), mask, rng if drawn else None))
    return np.concatenate(parts)


def adversarial_states(schema: Schema, real: States, count: int, seed: int) -> States:
    """About `count` states that no play gives: extremes, huge, tiny, denormal; odd masks.

    Args:
        schema: the policy's own. real: from `real_states`, which some of them begin with.
    """
    rng = np.random.default_rng(seed)
    kinds = _observations(schema, real.obs, -(-count // 8), rng)
    obs = np.concatenate(kinds).astype(np.float32)
    mask = None if real.mask is None else _masks(schema.action, len(obs), rng)
    return States(obs, mask)


def _observations(
    schema: Schema, real: NDArray[np.float32], each: int, rng: np.random.Generator
) -> list[NDArray[Any]]:
    fields = schema.observation.fields
    published = schema.observation.scaling == "published"
    divisors = np.array([field.divisor if published else 1.0 for field in fields])
    low = np.array([field.low for field in fields]) / divisors
    high = np.array([field.high for field in fields]) / divisors
    known = (np.abs(low) < _NO_RANGE) & (np.abs(high) < _NO_RANGE)
    low = np.where(known, low, real.min(axis=0))
    high = np.where(known, high, real.max(axis=0))
    shape = (each, len(fields))
    some = real[rng.integers(len(real), size=each)].astype(np.float64)
    signs = rng.choice([-1.0, 1.0], size=shape)
    largest = float(np.finfo(np.float32).max)
    return [
        np.where(rng.random(shape) < 0.5, low, high),  # corners of the box of the fields
        low + (high - low) * rng.uniform(-1, 2, shape),  # inside it, and beyond
        some * 10.0 ** rng.integers(1, 7, size=(each, 1)),
        np.where(rng.random(shape) < 0.1, signs * 1e30, some),  # one field gone mad
        signs * 10.0 ** rng.uniform(-44, 38, shape),
        signs * rng.choice([0.0, 1e-45, 1e-40, 1.2e-38], size=shape),
        signs * rng.choice([0.0, 1.0, 16_777_217.0, largest], size=shape),
        np.repeat(rng.choice([-1e6, -1.0, 0.0, 1.0, 1e6], size=(each, 1)), len(fields), axis=1),
    ]


def _masks(action: ActionSchema, rows: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Of every density; a quarter of them leaves one action alone. None is empty."""
    mask = rng.random((rows, action.n)) < rng.random((rows, 1))
    one = rng.integers(action.n, size=rows)
    mask[rng.random(rows) < 0.25] = False
    mask[np.arange(rows), one] = True
    return np.asarray(mask, np.bool_)
