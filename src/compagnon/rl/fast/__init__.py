"""Fast paths: what plain autograd computes, by hand-written passes and compiled loops."""
