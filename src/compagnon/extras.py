"""Which extra brings a package that the base installation does without."""

from typing import Final

EXTRA_OF: Final = {
    "PIL": "worlds",
    "alembic": "serve",
    "fastapi": "serve",
    "msgspec": "serve",
    "numba": "worlds",
    "onnx": "export",
    "onnxruntime": "serve",
    "optuna": "tune",
    "prometheus_client": "serve",
    "scipy": "worlds",
    "sqlalchemy": "serve",
    "torch": "train",
    "uvicorn": "serve",
}
