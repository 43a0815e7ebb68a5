"""The networks that are trained: their layers, their scalers, and the steps that change them."""
