"""Decisions to write: believable, and each a pure function of its number."""

import hashlib

import numpy as np

from compagnon.store.decisions import DecisionRow


def row(number: int, **changes) -> DecisionRow:
    """A decision over five actions."""
    mask = np.array([True, True, False, True, True])
    probabilities = np.where(mask, 0.25, 0.0)
    action = (0, 1, 3, 4)[number % 4]
    made = DecisionRow(
        id=f"decision-{number:06}",
        application="shop",
        key=f"customer-{number % 7}",
        arm="champion",
        experiment=None,
        model_sha256="a" * 64,
        schema_sha256="b" * 64,
        features=np.arange(number, number + 12, dtype="<f4").tobytes(),
        mask=np.packbits(mask).tobytes(),
        probabilities=probabilities.astype("<f8").tobytes(),
        action=action,
        action_vector=None,
        probability=0.25,
        seed=number * 977,
        mode="sampled",
        epsilon=0.05,
        time=1_700_000_000.0 + number,
        latency_us=50,
        request_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        shadow=None,
        shadow_sha256=None,
    )
    return made._replace(**changes)
