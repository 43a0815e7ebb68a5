"""Evaluation: paired comparison, audit, divergence, verdicts and their statistics."""
