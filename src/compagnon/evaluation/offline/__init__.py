"""Off-policy evaluation: what a policy would have earned, from what others decided."""
