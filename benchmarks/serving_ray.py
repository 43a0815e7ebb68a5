"""The same ONNX file behind Ray Serve, as its documentation writes a deployment; no log.

    python serving_ray.py ARTEFACT PORT

It runs in an environment of Ray's own, so it reads the artefact by itself.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve

app = FastAPI()


class Request(BaseModel):
    observation: dict[str, float]
    mask_bits: str


class Answer(BaseModel):
    action: int
    probability: float


@serve.deployment(max_ongoing_requests=100, logging_config={"enable_access_log": False})
@serve.ingress(app)
class Decisions:
    def __init__(self, artefact: str) -> None:
        schema = json.loads((Path(artefact) / "policy.json").read_text())["schema"]
        self.names = [field["name"] for field in schema["observation"]["fields"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = str(Path(artefact) / "policy.onnx")
        self.session = onnxruntime.InferenceSession(file, options)

    @app.post("/v1/decide")
    async def decide(self, request: Request) -> Answer:
        obs = np.array([[request.observation[name] for name in self.names]], np.float32)
        mask = np.array([[bit == "1" for bit in request.mask_bits]])
        found = self.session.run(["probabilities"], {"obs": obs, "action_mask": mask})[0]
        probabilities = found[0].astype(np.float64)
        probabilities /= probabilities.sum()
        action = int(np.random.default_rng().choice(len(probabilities), p=probabilities))
        return Answer(action=action, probability=float(probabilities[action]))


def main() -> None:
    artefact, port = sys.argv[1:3]
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000)
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(port)},
        logging_config={"enable_access_log": False},
    )
    serve.run(Decisions.bind(artefact), blocking=True)


if __name__ == "__main__":
    main()
