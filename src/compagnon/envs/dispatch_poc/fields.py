"""The proof of concept's observation fields and their ranges."""

from compagnon.envs.dispatch_poc import rules as R
from compagnon.envs.dispatch_poc.options import PocOptions
from compagnon.envs.field import Field


def observation_fields(options: PocOptions) -> tuple[Field, ...]:
    """The columns of an observation, in the order in which the kernel writes them."""
    fields: list[Field] = []
    for i in range(options.drivers):
        fields += [
            _place(f"driver_{i}_lat", "north of the centre"),
            _place(f"driver_{i}_lon", "east of the centre"),
            Field(f"driver_{i}_available", "0/1", 0, 1, 1, "can take another ride"),
            Field(f"driver_{i}_load", "rides", 0, R.MAX_LOAD, 10, "rides the driver has"),
        ]
    for j in range(options.slots):
        fields += [
            _place(f"booking_{j}_lat", "pick-up, north of the centre"),
            _place(f"booking_{j}_lon", "pick-up, east of the centre"),
            Field(f"booking_{j}_priority", "1-5", 0, R.PRIORITIES, 5, "0 for an empty slot"),
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
    return tuple(fields)


def _place(name: str, meaning: str) -> Field:
    return Field(name, "deg", -R.REACH, R.REACH, R.REACH, meaning)
