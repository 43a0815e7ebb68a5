"""The base of every algorithm's settings: typed, frozen, and without unknown keys."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Validated settings; an unknown key is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
