"""The service does what its own description says, whatever it is asked."""

import os

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from schemathesis.checks import CHECKS

from compagnon.policy.manifest import GaussianHead
from compagnon.serving.openapi import describe, request_example
from compagnon.serving.settings import ServiceSettings
from tests.serving.client import listening, served
from tests.serving.support import exported

PATHS = [
    "/v1/decide", "/v1/decide/batch", "/v1/outcomes/{decision_id}/{name}",
    "/v1/decisions/{decision_id}", "/v1/decisions/{decision_id}/override", "/v1/policy",
    "/v1/admin/reload", "/healthz", "/readyz",
    "/metrics", "/openapi.json",
]  # fmt: skip


POLICIES = {
    "compagnon/Workshop-v0": None,
    "CartPole-v1": None,
    "Pendulum-v1": GaussianHead(),
}


@pytest.fixture(scope="module", params=POLICIES)
def shared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    policy = exported(folder / "policy", request.param, head=POLICIES[request.param])
    settings = ServiceSettings(policy=str(policy), db=f"sqlite:///{folder / 'd.db'}", rate=0)
    with served(settings) as client, listening(client) as address:
        yield client, address


def test_the_description_lists_every_route(shared):
    client, _ = shared
    found = client.get("/openapi.json")
    assert sorted(found["paths"]) == sorted(PATHS)
    service = client.parts.service
    assert found == describe(service.parser, service.codec, service.settings)


def test_its_example_is_answered_and_fits_its_own_schema(shared):
    client, _ = shared
    example = request_example(client.parts.service.parser)
    assert client.decide(**example)["meaning"]
    found = client.get("/openapi.json")
    schema = {**found["components"]["schemas"]["DecideRequest"], "components": found["components"]}
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid(example)
    assert not validator.is_valid({**example, "colour": 1})
    assert not validator.is_valid({})


def test_every_example_of_a_body_is_answered(shared):
    client, _ = shared
    for path in ("/v1/decide", "/v1/decide/batch"):
        operation = client.get("/openapi.json")["paths"][path]["post"]
        for one in operation["requestBody"]["content"]["application/json"]["examples"].values():
            assert client.ask("POST", path, json=one["value"]).status_code == 200


MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def _fuzz(shared, examples, modes=MODES):
    """Ask what the description allows and what it does not; every answer must be in it."""
    client, address = shared
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json"))
    chosen = [CHECKS.get_one(name) for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    )]  # fmt: skip
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in modes:
            try:
                strategy = operation.as_strategy(generation_mode=mode)

                @hypothesis.given(case=strategy)
                @hypothesis.settings(
                    max_examples=examples, deadline=None, database=None, derandomize=True,
                    suppress_health_check=list(hypothesis.HealthCheck),
                    phases=[hypothesis.Phase.generate, hypothesis.Phase.explicit],
                )  # fmt: skip
                def ask(case):
                    nonlocal asked
                    asked += 1
                    case.call_and_validate(base_url=address, checks=chosen)

                ask()
            except hypothesis.errors.Unsatisfiable:
                continue  # nothing can be wrong with a route that takes nothing
    return asked


def test_a_vector_is_described_as_narrowly_as_the_policy(shared):
    client, _ = shared
    schemas = client.get("/openapi.json")["components"]["schemas"]
    found = schemas["DecideRequest"]["properties"].keys() & {"mask_ids", "mask_bits"}
    assert bool(found) != client.parts.service.parser.chooses_vectors
    if not found:
        action = schemas["VectorAnswer"]["properties"]["action"]
        assert action["required"] == ["torque"]
        torque = action["properties"]["torque"]
        assert torque == {
            "type": "number", "description": "N m", "minimum": -2.0, "maximum": 2.0
        }  # fmt: skip


def test_nothing_that_is_asked_breaks_it(shared):
    assert _fuzz(shared, 5) > 30


@pytest.mark.slow
def test_nothing_of_much_that_is_asked_breaks_it(shared):
    examples = int(os.environ.get("COMPAGNON_FUZZ", "400"))
    asked = _fuzz(shared, examples)
    client, _ = shared
    env = client.parts.service.parser.schema.env_id
    print(f"{env}: {asked:,} requests, {client.parts.repository.log.committed:,} decisions")
    assert asked > 4 * examples
