"""Files that ship with the package: tuned levels, a sample order book."""
