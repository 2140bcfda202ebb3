"""Images of items: files in the catalog's folder, or addresses on allowed hosts."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from zsrec.core.types import Image
from zsrec.data.values import shown

_LONGEST_URL = 2000
_KINDS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def read_image(value: object, *, item: str, folder: Path | None, most_bytes: int, hosts: Collection[str]) -> Image:
    """The image that a catalog's column names.

    Args:
        value: A path below `folder`, or an http(s) address.
        item: The item's id.
        folder: The only folder that files are read from, with what lies below it; None reads none.
        most_bytes: The largest file.
        hosts: Where addresses may point: the model server fetches them.

    Raises:
        ValueError: Why there is no image, in words.
    """
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is neither a path nor an address")  # noqa: TRY004  (a row's fault)
    if "://" in value:
        return Image(item=item, source=value, url=_checked_url(value, hosts))
    data = _file(value, folder, most_bytes)
    kind = _kind(data)
    return Image(
        item=item,
        source=value,
        sha256=hashlib.sha256(data).hexdigest(),
        url=f"data:{kind};base64,{base64.b64encode(data).decode()}",
    )


def _checked_url(value: str, hosts: Collection[str]) -> str:
    try:
        parts = urlsplit(value)
        host = (parts.hostname or "").lower()
    except ValueError:
        raise ValueError("the address is not valid") from None
    if parts.scheme not in {"http", "https"} or parts.username is not None or not host:
        raise ValueError("the address is no http(s) address, or has a user in it")
    if len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable() or set(' \\"<>') & set(value):
        raise ValueError(f"the address is longer than {_LONGEST_URL} characters, or has characters to be escaped")
    if host not in {allowed.lower() for allowed in hosts}:
        raise ValueError(f"the host {host[:100]} is not allowed (ZSREC_IMAGE_HOSTS)")
    return value


def _file(value: str, folder: Path | None, most_bytes: int) -> bytes:
    if folder is None:
        raise ValueError("the catalog has no folder (Catalog.from_items(…, folder=…))")
    try:
        path, root = (folder / value).resolve(strict=True), folder.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise ValueError("there is no such file in the catalog's folder") from None
    if not path.is_relative_to(root):
        raise ValueError("the file is outside the catalog's folder")
    try:
        # A resolved path has no links: one that was put there since is not followed, and a pipe is not waited for.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("it is no regular file")
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if len(data) > most_bytes:
        raise ValueError(f"the file is larger than {most_bytes // 1000:,} kB")
    return data


def _kind(data: bytes) -> str:
    """The media type by the file's first bytes, whatever its name says."""
    for magic, kind in _KINDS:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("the file is no PNG, JPEG, GIF or WebP")
