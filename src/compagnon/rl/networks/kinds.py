"""The words by which a recipe chooses among networks, apart from them: they need no torch."""

from typing import Literal

Networks = Literal["separate", "joint"]
Norm = Literal["none", "layer", "batch"]
Std = Literal["fixed", "learnt", "by_state"]
