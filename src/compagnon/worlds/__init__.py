"""One folder a world: all that the product knows of an environment stands in it."""
