"""What is known of Gymnasium's own small environments, and one that stands on them."""

from typing import Final

DISCRETE_PENDULUM: Final = "compagnon/DiscretePendulum-v1"
