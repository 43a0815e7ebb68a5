"""The headings by which trade software and people name the columns, in English and in French."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

from compagnon.spreadsheets import heading

_DEPARTURE: Final = (
    "depart", "de_depart", "prise_en_charge", "de_prise_en_charge", "origine", "pec",
)  # fmt: skip
_ARRIVAL: Final = ("arrivee", "d_arrivee", "destination", "de_destination", "depose", "de_depose")
_SHIFT_BEGIN: Final = ("depart", "de_depart", "debut", "de_debut", "depot", "du_depot")
_SHIFT_END: Final = ("arrivee", "d_arrivee", "fin", "de_fin", "retour", "de_retour")
_IDS: Final = (
    "identifiant", "numero", "n", "no", "num", "reference", "ref", "course", "n_course",
    "n_de_course", "numero_de_course", "id_course", "reservation", "n_reservation",
    "n_de_reservation", "trip_id", "booking_id",
)  # fmt: skip
_PLACES: Final = ("sieges", "siege", "places", "place", "nombre_de_places", "capacite")


def _degrees(ours: str, ends: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`latitude_depart`, `depart_lat` and their like, of one end."""
    words = {f"{ours}_lat": ("latitude", "lat"), f"{ours}_lon": ("longitude", "lon", "lng", "long")}
    found = {}
    for column, names in words.items():
        front = [f"{word}_{end}" for word, end in product(names, ends)]
        behind = [f"{end}_{word}" for word, end in product(names, (*ends, ours))]
        found[column] = tuple(word for word in (*front, *behind) if word != column)
    return found


BOOKINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": _IDS,
    **_degrees("pickup", _DEPARTURE),
    **_degrees("dropoff", _ARRIVAL),
    "seats": (
        *_PLACES, "type_transport", "type_de_transport", "transport", "mobilite", "besoin",
        "equipement", "mobility", "mobility_factors",
    ),
    "date": ("jour", "date_course", "date_de_la_course", "date_transport", "trip_date"),
    "pickup_from": (
        "depart_de", "depart_des", "depart_au_plus_tot", "prise_en_charge_de",
        "prise_en_charge_des", "prise_en_charge_au_plus_tot", "debut_prise_en_charge", "pec_de",
        "pec_des", "au_plus_tot", "heure_au_plus_tot", "earliest_pu_time",
    ),
    "pickup_to": (
        "depart_a", "depart_jusqu_a", "depart_au_plus_tard", "prise_en_charge_a",
        "prise_en_charge_jusqu_a", "prise_en_charge_au_plus_tard", "fin_prise_en_charge", "pec_a",
        "pec_jusqu_a", "au_plus_tard", "heure_au_plus_tard", "latest_pu_time",
    ),
    "dropoff_from": (
        "arrivee_de", "arrivee_des", "arrivee_au_plus_tot", "depose_de", "depose_des",
        "debut_depose",
    ),
    "dropoff_to": (
        "arrivee_a", "arrivee_jusqu_a", "arrivee_au_plus_tard", "depose_a", "depose_jusqu_a",
        "fin_depose", "rdv", "heure_rdv", "heure_de_rdv", "rendez_vous", "heure_rendez_vous",
        "heure_de_rendez_vous", "appt_time", "appointment_time",
    ),
    "boarding": ("montee", "minutes_montee", "temps_montee", "temps_de_montee", "embarquement"),
    "alighting": ("descente", "minutes_descente", "temps_descente", "temps_de_descente"),
    "max_ride": ("trajet_max", "trajet_maximum", "duree_max", "duree_maximale", "temps_a_bord_max"),
    "priority": ("priorite",),
    "booked_at": (
        "reserve_le", "reserve_a", "commande_le", "date_reservation", "date_de_reservation",
        "heure_appel", "appel",
    ),
    "returns_from": ("retour_de", "retour_du", "retour_de_la_course", "aller"),
    "no_show": ("absent", "absence", "absent_au_rdv", "non_presente", "patient_absent"),
    "cancelled_at": ("annule_le", "annule_a", "annulation", "heure_annulation"),
    "boarding_delay": ("retard_montee", "retard_a_la_montee"),
    "alighting_delay": ("retard_descente", "retard_a_la_descente"),
    "needs": (
        "skills", "required_skills", "skills_needed", "competences", "competences_requises",
        "exigences",
    ),
    "alone": ("rides_alone", "not_shared", "seul", "seule", "transport_seul"),
    "pickup_place": ("lieu_depart", "lieu_de_depart", "point_de_depart"),
    "dropoff_place": ("lieu_arrivee", "lieu_d_arrivee", "point_d_arrivee"),
}  # fmt: skip
DRIVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": (
        "identifiant", "numero", "n", "no", "num", "matricule", "chauffeur", "conducteur",
        "id_chauffeur", "n_chauffeur", "driver_id",
    ),
    "date": ("jour",),
    "shift_start": (
        "debut", "debut_service", "debut_de_service", "prise_de_service", "heure_debut",
        "heure_de_debut", "debut_poste",
    ),
    "shift_end": (
        "fin", "fin_service", "fin_de_service", "heure_fin", "heure_de_fin", "fin_poste",
    ),
    **_degrees("start", _SHIFT_BEGIN),
    **_degrees("end", _SHIFT_END),
    "seats": (*_PLACES, "vehicule", "type_vehicule", "type_de_vehicule"),
    "break_from": ("pause_de", "pause_des", "debut_pause", "debut_de_pause"),
    "break_to": ("pause_a", "pause_jusqu_a", "fin_pause", "fin_de_pause"),
    "break_minutes": (
        "pause", "minutes_pause", "minutes_de_pause", "duree_pause", "duree_de_pause",
    ),
    "skills": ("competences", "qualifications", "driver_skills"),
    "fold": ("folding_places", "places_pliantes", "places_convertibles"),
    "fold_seats": ("seats_folded", "sieges_replies"),
    "break2_from": ("pause2_de", "debut_pause2", "second_break_from"),
    "break2_to": ("pause2_a", "fin_pause2", "second_break_to"),
    "break2_minutes": ("pause2", "minutes_pause2", "second_break_minutes"),
    "start_place": ("lieu_depart", "lieu_de_depart", "lieu_debut", "depot"),
    "end_place": ("lieu_arrivee", "lieu_d_arrivee", "lieu_fin"),
}  # fmt: skip
# Fields that a layout may have beside the importer's own columns, which they are turned into. They
# are read where a profile, `--map` or a guess says so, or under just these names.
BOOKING_EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "pickup_time": (
        "heure", "time", "heure_depart", "heure_de_depart", "heure_prise_en_charge",
        "heure_de_prise_en_charge", "heure_pec", "pu_time", "pickup", "pick_up_time", "pick_up",
        "scheduled_pickup", "requested_pickup_time", "departure_time", "abholzeit", "h_pec",
        "tpep_pickup_datetime", "depart_prevu", "depart_souhaite", "req_time", "depart",
    ),
    "dropoff_time": (
        "heure_arrivee", "heure_d_arrivee", "heure_depose", "arrivee_prevue", "arrivee_souhaitee",
        "arrival_time", "do_time", "drop_off_time", "dropoff", "appt", "appointment", "rdv_a",
        "termin", "scheduled_dropoff", "delivery_time", "arrivee",
    ),
    "return_time": (
        "heure_retour", "heure_de_retour", "retour", "retour_a", "return", "return_pickup",
        "return_pickup_time", "will_call_time", "h_retour",
    ),
    "pickup_address": (
        "adresse_depart", "adresse_de_depart", "adresse_prise_en_charge",
        "adresse_de_prise_en_charge", "pu_address", "pick_up_address", "pick_up", "pickup",
        "origin_address", "origin",
        "from", "from_address", "lieu_prise_en_charge", "lieu_de_prise_en_charge", "origine",
        "provenance", "start", "depart", "de", "lieu_depart", "abholort", "von",
    ),
    "dropoff_address": (
        "adresse_arrivee", "adresse_d_arrivee", "adresse_destination", "adresse_de_destination",
        "do_address", "drop_off_address", "drop_off", "dropoff", "destination_address",
        "destination", "to",
        "to_address", "lieu_depose", "lieu_de_depose", "end", "arrivee",
        "vers", "lieu_arrivee", "zielort", "nach",
    ),
    "companions": (
        "guests", "accompagnants", "nombre_accompagnants", "nb_accompagnants", "escorts",
        "attendants", "nb_acc",
    ),
    "passengers": (
        "passenger_count", "passagers", "nombre_passagers", "nb_passagers", "number_of_passengers",
        "pax", "nb_pax", "riders",
    ),
    "weekdays": (
        "standing_order", "repeats", "recurrence", "jours_semaine", "jours_de_la_semaine",
        "jours", "wochentage",
    ),
    "valid_from": ("order_from", "valable_du", "valable_des"),
    "valid_until": ("order_until", "valable_au", "valable_jusqu_au"),
    "cancelled": ("annule", "annulee", "canceled", "cancelled_yn", "supprime"),
}  # fmt: skip
DRIVER_EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "start_address": (
        "adresse", "adresse_depot", "adresse_du_depot", "depot_address", "base", "garage",
        "home_base", "address", "adresse_depart",
    ),
    "end_address": ("adresse_fin", "adresse_retour", "end_base", "return_address"),
}  # fmt: skip
_ADDRESS: Final = frozenset((
    "adresse", "address", "rue", "street", "ville", "city", "town", "cp", "zip", "pick", "drop",
))  # fmt: skip


def addresses(cells: Sequence[str]) -> list[str]:
    """The headings that speak of addresses, which are no places on a map."""
    return [cell.strip() for cell in cells if _ADDRESS & set(heading(cell).split("_"))]
