"""Images of items: what is read, and what never is."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from zsrec.core.types import Image
from zsrec.data.images import read_image

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 50


def read(value: object, folder: Path | None, *, most_bytes: int = 1000, hosts: tuple[str, ...] = ()) -> Image:
    return read_image(value, item="1", folder=folder, most_bytes=most_bytes, hosts=hosts)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "img").mkdir(parents=True)
    (folder / "img" / "dress.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    return folder


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPrest", "image/webp"),
    ],
)
def test_the_type_is_that_of_the_bytes_whatever_the_name_says(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    found = read("a.txt", tmp_path)
    assert found.url == f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert (found.item, found.source, len(found.sha256)) == ("1", "a.txt", 64)


def test_what_is_sent_is_in_no_dump(shop: Path) -> None:
    found = read("img/dress.png", shop)
    assert "base64" not in found.model_dump_json() + repr(found)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("../secret.png", "outside"),
        ("img/../../secret.png", "outside"),
        ("{shop}/../secret.png", "outside"),
        ("/etc/passwd", "outside"),
        ("img", "cannot be read|regular"),
        ("none.png", "no such file"),
        ("a\0b", "no such file"),
        ("x" * 5000, "no such file"),
        ("data:image/png;base64,AAAA", "no such file"),
        ("file:///etc/passwd", "no http"),
        ("ftp://host/a.png", "no http"),
        (7, "neither"),
    ],
)
def test_nothing_outside_the_catalogs_folder_is_read(shop: Path, value: object, why: str) -> None:
    value = value.format(shop=shop) if isinstance(value, str) else value
    with pytest.raises(ValueError, match=why):
        read(value, shop)


def test_a_link_out_of_the_folder_is_not_followed_and_one_inside_is(shop: Path) -> None:
    (shop / "out.png").symlink_to(shop.parent / "secret.png")
    (shop / "away").symlink_to(shop.parent)
    (shop / "in.png").symlink_to(shop / "img" / "dress.png")
    for value in ("out.png", "away/secret.png"):
        with pytest.raises(ValueError, match="outside"):
            read(value, shop)
    assert read("in.png", shop).url.startswith("data:image/png")


def test_a_pipe_is_not_waited_for(shop: Path) -> None:
    os.mkfifo(shop / "pipe.png")
    with pytest.raises(ValueError, match="no regular file"):
        read("pipe.png", shop)


@pytest.mark.parametrize(
    ("data", "why"), [(b"<svg/>", "no PNG"), (b"", "no PNG"), (PNG * 100, "larger than 1 kB")]
)
def test_other_types_and_large_files_are_refused(shop: Path, data: bytes, why: str) -> None:
    (shop / "a.png").write_bytes(data)
    with pytest.raises(ValueError, match=why):
        read("a.png", shop)


def test_a_catalog_without_a_folder_reads_no_file() -> None:
    with pytest.raises(ValueError, match="no folder"):
        read("a.png", None)


def test_an_address_on_an_allowed_host_is_sent_as_it_is() -> None:
    url = "https://Images.example.com/a.png?w=200"
    assert read(url, None, hosts=("images.example.com",)).url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.com/a.png",
        "http://127.0.0.1/a.png",
        "http://169.254.169.254/latest",
        "https://images.example.com@evil.com/a.png",
        "https://u:p@images.example.com/a.png",
        "https://images.example.com.evil.com/a.png",
        "https://images.example.com\\@evil.com/a.png",
        "https://images.example.com/a b.png",
        "https://[/a.png",
        "https:///a.png",
        "https://images.example.com/" + "a" * 3000,
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|host"):
        read(url, None, hosts=("images.example.com",))
