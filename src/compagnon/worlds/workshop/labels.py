"""The workshop in words: its figures, its reward terms, and which of them are money."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.evaluation.labels import WorldLabels
from compagnon.worlds.workshop import constants


def family_of(actions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Actions of any shape -> index into the families."""
    return np.asarray(
        np.where(actions >= constants.WAIT, 0, 1 + actions // constants.BATCHES), np.int64
    )


LABELS: Final = WorldLabels(
    episode="week",
    profit="profit",
    profit_terms=constants.REWARD_TERMS[: constants.PROFIT_TERMS],
    lost={"overflow": "lost to a full store", "theft": "stolen"},
    served=("served_share_p1", "served_share_p2"),
    english={
        "sales_p1": "P1 sales",
        "sales_p2": "P2 sales",
        "raw_cost": "raw material",
        "backlog_cost": "backlog penalty",
        "launch_bonus": "launch bonuses",
        "wait_cost": "waiting cost",
        "invalid_cost": "impossible launches",
        "served_share_p1": "P1 served",
        "served_share_p2": "P2 served",
        "overflow": "units lost to a full store",
        "theft": "units stolen",
        "mean_backlog_p1": "mean backlog P1",
        "mean_backlog_p2": "mean backlog P2",
        "final_backlog_p1": "final backlog P1",
        "final_backlog_p2": "final backlog P2",
        "demand_p1": "demand P1",
        "demand_p2": "demand P2",
        "m1_utilisation": "M1 at work",
        "m2_utilisation": "M2 at work",
    },
    french={
        "sales_p1": "ventes de P1",
        "sales_p2": "ventes de P2",
        "raw_cost": "matière première",
        "backlog_cost": "pénalité de retard",
        "launch_bonus": "primes de lancement",
        "wait_cost": "coût de l'attente",
        "invalid_cost": "lancements impossibles",
        "served_share_p1": "P1 servis",
        "served_share_p2": "P2 servis",
        "overflow": "unités perdues faute de place",
        "theft": "unités volées",
        "mean_backlog_p1": "retard moyen de P1",
        "mean_backlog_p2": "retard moyen de P2",
        "final_backlog_p1": "retard final de P1",
        "final_backlog_p2": "retard final de P2",
        "demand_p1": "demande de P1",
        "demand_p2": "demande de P2",
        "m1_utilisation": "M1 au travail",
        "m2_utilisation": "M2 au travail",
    },
    units={
        **dict.fromkeys(constants.REWARD_TERMS[: constants.PROFIT_TERMS], "money"),
        **dict.fromkeys(("overflow", "theft", "demand_p1", "demand_p2"), "units"),
        **dict.fromkeys(("mean_backlog_p1", "mean_backlog_p2"), "units"),
        **dict.fromkeys(("final_backlog_p1", "final_backlog_p2"), "units"),
    },
    families=("wait", "P1", "step 1", "step 2", "order"),
    family_of=family_of,
    idle=0,
    clock=True,
)
