"""The recipes that ship: one TOML file each."""

from importlib.resources import files


def shipped_texts() -> dict[str, str]:
    """Name -> TOML of each recipe that ships, sorted by name."""
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".toml")
    }
    return dict(sorted(texts.items()))
