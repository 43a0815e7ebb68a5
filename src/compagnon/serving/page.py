"""The page at `/`: what a person finds who opens the service's address in a browser."""

import html
import shlex

import msgspec

from compagnon.serving.openapi import OPERATIONS, Operation, request_example
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
