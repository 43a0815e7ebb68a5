"""Evaluation: paired comparison, audit, divergence, diagnosis, report."""
