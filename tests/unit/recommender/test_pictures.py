"""Images beside prompts: whose, how many, in what order, and what was left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.fakes import FakeLLM
from zsrec import Catalog, Recommender
from zsrec.core.errors import ConfigError
from zsrec.core.types import Message

PNG = b"\x89PNG\r\n\x1a\n"
FRONT = """---
task: rank
images: {images}
variables:
  candidates: {{scope: pool, type: items}}
  history:    {{scope: user, type: items}}
---
{{% block user %}}Which? {{{{ candidates|join("; ") }}}} {{{{ history|join("; ") }}}}{{% endblock %}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Catalog:
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.png").write_bytes(PNG + name.encode())
    rows = [f"{one},Dress {one},{one}.png" for one in "abcd"]
    rows += ["e,Dress e,", "f,Dress f,../f.png", "g,Dress g,https://cdn.example.com/g.png"]
    (tmp_path / "shop.csv").write_text("\n".join(["id,title,image", *rows]) + "\n")
    return Catalog.from_csv(tmp_path / "shop.csv", domain="dresses")


def asked(
    shop: Catalog, tmp_path: Path, images: str, **more: object
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    path = tmp_path / "mine.j2"
    path.write_text(FRONT.format(images=images))
    llm = FakeLLM("1. Dress b")
    with Recommender(shop, template=path).with_llm(llm) as recommender:
        found = recommender.recommend(["a", "d"], 1, **{"candidates": ["b", "c", "e", "f", "g"]} | more)  # type: ignore[arg-type]
    return llm.requests[-1].messages, found.trace.notes


def test_the_candidates_images_come_in_their_order_and_the_rest_is_noted(shop: Catalog, tmp_path: Path) -> None:
    (message,), notes = asked(shop, tmp_path, "candidates")
    assert [(one.item, one.caption) for one in message.images] == [
        ("b", "Image 1: Dress b"),
        ("c", "Image 2: Dress c"),
    ]
    told = " ".join(notes)
    assert "no image of 'e' was sent: the catalog has none" in told
    assert "no image of 'f' was sent: " in told
    assert "cdn.example.com is not allowed (ZSREC_IMAGE_HOSTS)" in told


def test_the_historys_images_are_those_of_its_newest_items(shop: Catalog, tmp_path: Path) -> None:
    (message,), notes = asked(shop, tmp_path, "{of: history, most: 1}")
    assert [one.item for one in message.images] == ["d"]
    assert "images of 1 more history were not sent: the template shows 1 at most" in notes


def test_an_allowed_host_is_sent_as_an_address(
    shop: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZSREC_IMAGE_HOSTS", "cdn.example.com")
    (message,), _ = asked(shop, tmp_path, "candidates", candidates=["g"])
    assert [one.url for one in message.images] == ["https://cdn.example.com/g.png"]


def test_a_text_template_sends_none(shop: Catalog, tmp_path: Path) -> None:
    (message,), _ = asked(shop, tmp_path, "null")
    assert message.images == ()
    assert message.model_dump() == {"role": "user", "content": message.content}


def test_the_trace_holds_no_image_data(shop: Catalog, tmp_path: Path) -> None:
    (message,), _ = asked(shop, tmp_path, "candidates")
    assert "base64" not in message.model_dump_json()
    assert '"sha256":"' in message.model_dump_json()


def test_a_column_that_the_catalog_lacks_is_an_error_that_names_it(shop: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'photo'") as caught:
        asked(shop, tmp_path, "{of: candidates, column: photo}")
    assert "its columns: image" in str(caught.value.hint)


def test_images_shorten_a_history_and_refuse_no_prompt(shop: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "mine.j2"
    path.write_text(FRONT.format(images="candidates"))
    llm = FakeLLM("1. Dress b", context_length=1000, counts=True)
    with Recommender(shop, template=path).with_llm(llm) as recommender:
        found = recommender.recommend(["Heat"] * 1000, 1, candidates=["b", "c"])
    assert len(llm.requests[-1].messages[0].images) == 2
    assert any("were left out to fit the context" in note for note in found.trace.notes)
