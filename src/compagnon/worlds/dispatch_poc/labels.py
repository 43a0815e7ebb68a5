"""The proof of concept in words."""

from typing import Final

from compagnon.evaluation.labels import WorldLabels

LABELS: Final = WorldLabels(
    episode="day",
    served=("completion",),
    english={
        "completion": "bookings taken",
        "reward_per_step": "reward a tick",
        "mean_distance": "mean way to a pick-up",
        "late_share": "late pick-ups",
        "satisfaction": "satisfaction, 1 to 5",
    },
    french={
        "completion": "réservations prises",
        "reward_per_step": "récompense par pas",
        "mean_distance": "trajet moyen jusqu'au client",
        "late_share": "prises en charge en retard",
        "satisfaction": "satisfaction, de 1 à 5",
    },
    units={"mean_distance": "km", "mean_late_minutes": "min"},
)
