"""Experts: rules and solvers that already do the job, as policies."""
