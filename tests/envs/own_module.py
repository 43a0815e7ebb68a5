"""A module that registers an environment when it is imported, as people's packages do."""

import gymnasium

from tests.envs.own import Clock

gymnasium.register("own/Clock-v0", entry_point=Clock)
