"""The ball: keep a drifting ball inside a box, in any number of dimensions."""
