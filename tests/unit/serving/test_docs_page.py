"""The page of the routes: complete, and from this host alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, client, make
from zsrec.serving.auth import Keys
from zsrec.serving.docs_page import docs_page


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_route_and_field_is_in_it_and_nothing_is_loaded(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER)), Keys(["shop:" + "s" * 16], "keys")) as http:
        reply = http.get("/docs")  # without a key, as /openapi.json
        api = http.get("/openapi.json").json()
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    elements = Elements(reply.text).found
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in elements}
    assert not [one for _, one in elements if {"src", "onclick", "onload"} & set(one)]
    ids = {one["id"] for _, one in elements if "id" in one}
    targets = {one["href"] for tag, one in elements if tag == "a"}
    assert targets - {"openapi.json"} <= {f"#{one}" for one in ids}
    for path, operations in api["paths"].items():
        assert {f"{method.upper()}{path}" for method in operations} <= ids
    for name, schema in api["components"]["schemas"].items():
        assert name in ids
        for field in schema.get("properties", {}):
            assert f"<code>{field}</code>" in reply.text
    assert 'list of <a href="#TemplateOut"' in reply.text


def test_examples_can_be_pasted_into_a_shell() -> None:
    schema = {"properties": {}, "examples": [{"text": 'it\'s <b> & "so"'}]}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/TextIn"}}}}
    answers = {"200": {"description": "Fine."}}
    page = docs_page(
        {
            "info": {"title": "<i>zsrec", "version": "1", "summary": ""},
            "paths": {"/text": {"post": {"requestBody": body, "responses": answers}}},
            "components": {"schemas": {"TextIn": schema}},
        }
    )
    assert "<b>" not in page
    assert "<i>" not in page
    shown = re.search(r"-d &#39;(.*?)&#39;|-d '(.*?)'", page)
    assert shown is not None
    assert "'" not in (shown[1] or shown[2])
    assert "it\\u0027s" in page
