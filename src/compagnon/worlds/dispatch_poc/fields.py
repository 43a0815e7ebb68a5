"""The proof of concept's observation fields and their ranges."""

from compagnon.envs.field import Field
from compagnon.worlds.dispatch_poc import constants
from compagnon.worlds.dispatch_poc.options import PocOptions

PAIR_FIELDS = 8  # of observation="trips"
_REACH = "change in the share of bookings to come that a driver would reach"
_OTHERS = "change in the open bookings that will still be reached, this one counted as gone"


def observation_fields(options: PocOptions) -> tuple[Field, ...]:
    """The columns of an observation, in the order in which the kernel writes them."""
    fields: list[Field] = []
    for i in range(options.drivers):
        fields += [
            _place(f"driver_{i}_lat", "north of the centre"),
            _place(f"driver_{i}_lon", "east of the centre"),
            Field(f"driver_{i}_available", "0/1", 0, 1, 1, "can take another ride"),
            Field(f"driver_{i}_load", "rides", 0, constants.MAX_LOAD, 10, "rides the driver has"),
        ]
    for j in range(options.slots):
        fields += [
            _place(f"booking_{j}_lat", "pick-up, north of the centre"),
            _place(f"booking_{j}_lon", "pick-up, east of the centre"),
            Field(
                f"booking_{j}_priority", "1-5", 0, constants.PRIORITIES, 5, "0 for an empty slot"
            ),
            Field(f"booking_{j}_time_left", "min", 0, 60, 60, "to the end of its window"),
        ]
    minutes = options.hours * 60
    fields += [
        Field("time", "min", 0, minutes, minutes, "minutes since 08:00"),
        Field("traffic", "", 0, 1, 1, "density of the traffic"),
    ]
    if options.observation == "pairs":
        fields += [
            Field(f"spare_{i}_{j}", "min", 0, 60, 60, "time left on arrival; 0 if impossible")
            for i in range(options.drivers)
            for j in range(options.slots)
        ]
    if options.observation == "trips":
        for j in range(options.slots):
            fields += [
                _place(f"booking_{j}_to_lat", "drop-off, north of the centre"),
                _place(f"booking_{j}_to_lon", "drop-off, east of the centre"),
                Field(f"booking_{j}_window", "min", 0, 60, 60, "its whole window"),
            ]
        # Tenths of an hour's chances would be lost on a network that must tell 0.2 from 0.5.
        fields.append(Field("demand", "", 0, 1, 1, "chance that bookings come next tick"))
        fields.append(
            Field("ticks_left", "ticks", 0, minutes / 5, 12, "decisions to the day's end")
        )
        many = options.slots
        for i in range(options.drivers):
            for j in range(options.slots):
                pair = f"pair_{i}_{j}"
                fields += [
                    Field(f"{pair}_feasible", "0/1", 0, 1, 1, "the mask allows it"),
                    Field(f"{pair}_way", "min", 0, 60, 30, "minutes to the pick-up"),
                    Field(f"{pair}_spare", "min", 0, 60, 30, "time left on arrival"),
                    Field(f"{pair}_reward", "points", 0, 100, 50, "what the assignment earns"),
                    Field(f"{pair}_reach", "share", -1, 1, 0.1, _REACH),
                    Field(f"{pair}_reach_urgent", "share", -1, 1, 0.1, "the same, of urgent ones"),
                    Field(f"{pair}_reach_twice", "share", -1, 1, 0.1, "the same, by two drivers"),
                    Field(f"{pair}_others", "bookings", -many, many, 1, _OTHERS),
                ]
    return tuple(fields)


def _place(name: str, meaning: str) -> Field:
    return Field(name, "deg", -constants.REACH, constants.REACH, constants.REACH, meaning)
