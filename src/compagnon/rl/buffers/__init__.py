"""What was lived through: rollouts, replayed transitions, an expert's decisions."""
