"""Tuning: searches a recipe's settings, and proves on fresh seeds whether they are better."""
