"""Dispatch in words: what a dispatcher looks at of every policy, and what it is called."""

from typing import Final

from compagnon.evaluation.labels import KpiLabel, WorldLabels

CARD: Final[dict[str, tuple[KpiLabel, ...]]] = {
    "Cost of the day": (
        KpiLabel("cost", "cost, all parts", "less"),
        KpiLabel("cost_rejected", "rides refused or missed", "less"),
        KpiLabel("cost_late", "minutes late", "less"),
        KpiLabel("cost_wait", "waiting beyond the promise", "less"),
        KpiLabel("cost_ride", "minutes on board beyond the direct ride", "less"),
        KpiLabel("cost_km", "kilometres", "less"),
        KpiLabel("cost_overtime", "overtime", "less"),
        KpiLabel("cost_answer", "waiting for an answer", "less"),
        KpiLabel("cost_taxi", "taxis", "less"),
        KpiLabel("cost_promise", "broken promises", "less"),
        KpiLabel("cost_move", "rides moved", "less"),
        KpiLabel("cost_impossible", "asking for what is impossible", "less"),
    ),
    "Rides": (
        KpiLabel("generated", "asked for", ""),
        KpiLabel("served", "served", "more"),
        KpiLabel("taxis", "brought home by taxi", "less"),
        KpiLabel("rejected", "refused or missed", "less"),
        KpiLabel("cancelled", "cancelled", ""),
        KpiLabel("no_show", "nobody at the door", ""),
        KpiLabel("served_share", "brought, of those that could be", "more", ".1%"),
    ),
    "Service": (
        KpiLabel("wait_mean", "wait for the pickup, mean minutes", "less"),
        KpiLabel("wait_p95", "wait, 95th percentile", "less"),
        KpiLabel("late_mean", "late, mean minutes", "less", ".2f"),
        KpiLabel("late_p95", "late, 95th percentile", "less"),
        KpiLabel("ride_mean", "on board, mean minutes", "less"),
        KpiLabel("excess_mean", "beyond the direct ride, mean minutes", "less"),
        KpiLabel("on_time_share", "picked up on time (-10 to +30 minutes)", "more", ".1%"),
        KpiLabel("satisfaction", "satisfaction, 1 to 5", "more", ".2f"),
    ),
    "Answers": (
        KpiLabel("answer_median", "wait for an answer, median minutes", "less"),
        KpiLabel("answer_p95", "wait for an answer, 95th percentile", "less"),
        KpiLabel("told_ahead_share", "accepted at least an hour ahead", "more", ".1%"),
        KpiLabel("refused_ahead_share", "refused at least an hour ahead", "more", ".1%"),
        KpiLabel("moves", "promised rides moved to another driver or place", ""),
        KpiLabel("broken_promises", "promises that were not kept", "less", ".2f"),
    ),
    "Fleet": (
        KpiLabel("km", "kilometres", "less"),
        KpiLabel("loaded_km", "with somebody on board", ""),
        KpiLabel("empty_km", "empty", "less"),
        KpiLabel("km_per_ride", "kilometres a ride", "less"),
        KpiLabel("rides_per_driver_hour", "rides a driver hour", "more", ".2f"),
        KpiLabel("gini", "inequality of the drivers' rides (Gini)", "less", ".3f"),
        KpiLabel("overtime_minutes", "overtime, minutes", "less"),
    ),
    "Rules": (KpiLabel("violations", "violations of limits, which must be 0", "less", ".0f"),),
}

LABELS: Final = WorldLabels(
    episode="day",
    served=("served_share",),
    english={
        "reward_rejected": "rides refused or missed",
        "reward_late": "minutes late",
        "reward_wait": "waiting beyond the promise",
        "reward_ride": "minutes on board beyond the direct ride",
        "reward_km": "kilometres",
        "reward_overtime": "overtime",
        "reward_answer": "waiting for an answer",
        "reward_taxi": "taxis",
        "reward_promise": "broken promises",
        "reward_move": "rides moved",
        "reward_impossible": "asking for what is impossible",
    },
    french={
        "reward_rejected": "courses refusées ou manquées",
        "reward_late": "minutes de retard",
        "reward_wait": "attente au-delà de la promesse",
        "reward_ride": "minutes à bord au-delà du trajet direct",
        "reward_km": "kilomètres",
        "reward_overtime": "heures supplémentaires",
        "reward_answer": "attente d'une réponse",
        "reward_taxi": "taxis",
        "reward_promise": "promesses rompues",
        "reward_move": "courses déplacées",
        "reward_impossible": "demandes impossibles",
    },
    units={
        **dict.fromkeys(("km", "loaded_km", "empty_km", "km_per_ride"), "km"),
        **dict.fromkeys(("wait_mean", "wait_p95", "late_mean", "late_p95"), "min"),
        **dict.fromkeys(("answer_median", "answer_p95"), "min"),
        **dict.fromkeys(("ride_mean", "excess_mean", "overtime_minutes"), "min"),
    },
    card=CARD,
)
