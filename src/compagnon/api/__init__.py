"""The Python side: what `import compagnon as cp` offers, imported when it is first asked for."""
