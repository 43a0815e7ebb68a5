"""How a network's outputs become actions, and how losses of choices become gradients."""
