"""The production workshop: rules, compiled kernel, environments, order books, pictures."""
