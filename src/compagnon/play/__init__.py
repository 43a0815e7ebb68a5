"""A person plays a world, with a policy's choice beside: worlds, keys, the game, the window."""
