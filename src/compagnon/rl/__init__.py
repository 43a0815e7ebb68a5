"""Learning: algorithms that improve a policy, and the trainer that runs them."""
