"""A shop that orders three products, as a world of Compagnon; README.md goes through it."""
