"""The loop of a deployed policy: experiments, and what follows from them."""
