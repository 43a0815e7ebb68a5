"""The same ONNX file behind BentoML, as its documentation writes a service; no log.

    POLICY=ARTEFACT python -m bentoml serve serving_bento:Decisions

It runs in an environment of BentoML's own, so it reads the artefact by itself.
"""

import json
import os
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime
from pydantic import BaseModel


class Answer(BaseModel):
    action: int
    probability: float


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Decisions:
    def __init__(self) -> None:
        artefact = Path(os.environ["POLICY"])
        schema = json.loads((artefact / "policy.json").read_text())["schema"]
        self.names = [field["name"] for field in schema["observation"]["fields"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = str(artefact / "policy.onnx")
        self.session = onnxruntime.InferenceSession(file, options)

    # Not in a thread of the pool: the model answers faster than one would take over.
    @bentoml.api(route="/v1/decide")
    async def decide(self, observation: dict[str, float], mask_bits: str) -> Answer:
        obs = np.array([[observation[name] for name in self.names]], np.float32)
        mask = np.array([[bit == "1" for bit in mask_bits]])
        found = self.session.run(["probabilities"], {"obs": obs, "action_mask": mask})[0]
        probabilities = found[0].astype(np.float64)
        probabilities /= probabilities.sum()
        action = int(np.random.default_rng().choice(len(probabilities), p=probabilities))
        return Answer(action=action, probability=float(probabilities[action]))
