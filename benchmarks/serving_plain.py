"""What one would write without us: the same model behind plain FastAPI and pydantic, no log."""

import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

from compagnon.policy.loading import artefact_directory
from compagnon.policy.onnx_policy import load_onnx


def build(artefact: Path) -> FastAPI:
    policy = load_onnx(artefact_directory(artefact))
    names = policy.schema.observation.names
    actions = policy.schema.action.n
    app = FastAPI()

    class Request(BaseModel):
        observation: dict[str, float]
        mask_bits: str = Field(min_length=actions, max_length=actions)

    class Answer(BaseModel):
        action: int
        probability: float

    @app.post("/v1/decide")
    async def decide(request: Request) -> Answer:
        obs = np.array([[request.observation[name] for name in names]], np.float32)
        mask = np.array([[bit == "1" for bit in request.mask_bits]])
        probabilities = policy.probabilities(obs, mask)[0]
        action = int(np.random.default_rng().choice(actions, p=probabilities))
        return Answer(action=action, probability=float(probabilities[action]))

    return app


if __name__ == "__main__":
    uvicorn.run(
        build(Path(sys.argv[1])), port=int(sys.argv[2]), access_log=False, log_level="warning"
    )
