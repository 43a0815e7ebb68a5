"""Diagnosis: why an imitation fails, and which change mends it."""
