"""The service's routes as one page: no script, and nothing from another host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""

_TEMPLATE = Path(__file__).parent / "docs.html.j2"


def docs_page(openapi: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    schemas: Mapping[str, Mapping[str, Any]] = openapi["components"]["schemas"]
    routes = [
        {
            "method": method.upper(),
            "path": path,
            "needs_key": "security" in operation,
            "says": operation.get("description", ""),
            "body": _schema(operation.get("requestBody")).get("$ref", "").rpartition("/")[2],
            "answers": {
                status: {"says": answer["description"], "schema": _schema(answer)}
                for status, answer in operation["responses"].items()
            },
        }
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]
    bodies = dict.fromkeys(one["body"] for one in routes if one["body"])
    # A description's first paragraph: what follows lists the fields, which the page does itself.
    about = {name: schema.get("description", "").partition("\n\n")[0] for name, schema in schemas.items()}
    return page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        info=openapi["info"],
        routes=routes,
        schemas={name: schemas[name] for name in (*bodies, *schemas)},
        about=about,
    )


def _schema(part: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The schema of a body or an answer; empty where it has none."""
    found: Mapping[str, Any] = next(iter(part["content"].values()))["schema"] if part and "content" in part else {}
    return found
