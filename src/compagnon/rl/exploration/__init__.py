"""How DDPG tries other actions than its actor's."""
