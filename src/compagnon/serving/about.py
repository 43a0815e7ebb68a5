"""What a service says of itself: to programs (`/v1/policy`), and the page at `/` to a person."""

import html
import math
import shlex
from typing import Any

import msgspec

from compagnon.serving.openapi import OPERATIONS, Operation, request_example
from compagnon.serving.schemas import FieldInfo, finite
from compagnon.serving.service import Service

# No style and no script: the security headers let a browser load and run nothing at all.
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Compagnon: decisions</title></head>
<body>
<h1>Compagnon: decisions over HTTP</h1>
<p>{about}</p>
<h2>Ask for a decision</h2>
<pre>{curl}</pre>
<h2>What there is</h2>
<table>
{rows}
</table>
</body>
</html>
"""


def policy_info(service: Service) -> Any:
    """What `/v1/policy` says."""
    model, settings, parser = service.model, service.settings, service.parser
    schema = model.manifest.schema_
    return service.codec.responses.policy(
        model=model.sha256,
        name=model.manifest.name,
        schema_sha256=model.manifest.schema_sha256,
        env=schema.env_id,
        fields=[
            FieldInfo(one.name, one.unit, finite(one.low), finite(one.high), one.meaning)
            for one in schema.observation.fields
        ],
        reads_states=parser.states is not None,
        application=settings.application,
        mode=settings.mode,
        play=service.draw.play.name,
        explore=service.draw.play.explore,
        near=service.draw.play.near,
        explore_cap=settings.explore_cap,
        cost=service.cost,
        swaps=service.swaps,
        refused=service.refused,
        experiment=None if service.arms is None else service.arms.assigner.name,
        arms={} if service.arms is None else service.arms.hashes(model.sha256),
        manifest=_plain(model.manifest.model_dump(mode="json", by_alias=True)),
        **service.codec.described(model, parser.needs_mask),
    )


def _plain(value: Any) -> Any:
    """Without infinities, which JSON does not know; a range without an end has null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def page(service: Service, address: str, named: bool) -> bytes:
    """The page.

    Args:
        address: as the browser knows the service, such as ``http://localhost:8000``.
        named: whoever reads it may know what is in service; otherwise it says what any says.
    """
    manifest = service.model.manifest
    about = f"{manifest.name}, for {manifest.schema_.env_id}: model {service.model.sha256[:12]}."
    example = msgspec.json.encode(request_example(service.parser)).decode()
    key = ""
    if not named:
        about = "A key is asked for: compagnon keys create --scope decide makes one."
        example, key = '{"state": {}}', " -H 'authorization: Bearer KEY'"
    curl = (
        f"curl {shlex.quote(f'{address}/v1/decide')}{key} -H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(example)}"
    )
    return _PAGE.format(
        about=html.escape(about),
        curl=html.escape(curl),
        rows="\n".join(
            f"<tr><td>{_link(one)}</td><td>{one.summary}</td></tr>" for one in OPERATIONS
        ),
    ).encode()


def _link(one: Operation) -> str:
    path = one.path.replace("{decision_id}", "ID").replace("{name}", "NAME")
    said = f"{one.method} {path}"
    plain = one.method == "GET" and path == one.path
    return f'<a href="{path}">{said}</a>' if plain else said
