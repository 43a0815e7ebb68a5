"""Decisions over HTTP: parsed strictly, drawn inside the mask, logged before they are answered."""
