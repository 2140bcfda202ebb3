"""Archives from GroupLens: fetched once, resumed where the line broke, checked, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import re
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from zsrec.data.sets import MovieLensSet, named
from zsrec.errors import DataError
from zsrec.server.paths import Home

BASE_URL = "https://files.grouplens.org/datasets/movielens"
_CHUNK = 1 << 20
_ATTEMPTS = 4
_FILES = re.compile(r"(movies|ratings)\.(csv|dat)|u\.(item|data)|README(\.\w+)?|LICENSE\.txt", re.IGNORECASE)

OnBytes = Callable[[int, int | None], None]


def cache_folder() -> Path:
    """Where fetched sets are kept: `data` in the folder named by ZSREC_HOME, or in the platform's cache folder."""
    return Home.default().root / "data"


def fetch(
    name: str, target: str | Path | None = None, *, base_url: str = BASE_URL, on_bytes: OnBytes | None = None
) -> Path:
    """Downloads a set, checks it and unpacks it; does nothing where it stands already.

    A download that broke leaves a .part file, and the next call goes on where it ended (HTTP Range). The checksum
    is the MD5 that GroupLens publishes beside the archive; of the sets that never change it is also recorded here,
    so that neither file can change unnoticed. It guards against a broken copy; what guards against a forged one is
    TLS.

    Args:
        name: One of `zsrec.data.SETS`.
        target: The folder that shall hold it; `cache_folder()` by default.
        base_url: Where archives and checksums are.
        on_bytes: Called with the bytes so far and the whole size, where the server says it.

    Returns:
        The folder with the set's files, `target/ml-<name>`.

    Raises:
        ConfigError: `name` is unknown.
        DataError: The download failed; or its checksum is not the published one, and nothing is kept then.
    """
    one, target = named(name), cache_folder() if target is None else Path(target)
    folder = target / one.folder
    if (folder / one.form.movies).is_file() and (folder / one.form.ratings).is_file():
        return folder
    url, part = f"{base_url.rstrip('/')}/{one.archive}", target / f"{one.archive}.part"
    target.mkdir(parents=True, exist_ok=True)
    wanted = _published(url, one)
    _download(url, part, on_bytes)
    if (found := _md5(part)) != wanted:
        part.unlink()
        raise DataError(
            f"{url}: the MD5 is {found}, expected {wanted}",
            hint="try again; if it stays so, the set changed at its source: take a local folder instead",
        )
    unpack(part, folder)
    part.unlink()
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a set's own files into a folder, all of them or none; folders inside the archive are dropped.

    Raises:
        DataError: It is no zip file, or a broken one.
    """
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                name = Path(member.filename).name
                if not member.is_dir() and _FILES.fullmatch(name):
                    with file.open(member) as source, (fresh / name).open("xb") as copy:
                        shutil.copyfileobj(source, copy, _CHUNK)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise DataError(f"cannot unpack: {error}", path=archive, hint="fetch the archive again") from None
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _published(url: str, one: MovieLensSet) -> str:
    """The checksum that stands beside the archive: "MD5 (ml-20m.zip) = …" or "…  ml-20m.zip"."""
    try:
        with urllib.request.urlopen(f"{url}.md5", timeout=60) as reply:  # noqa: S310  (the caller's base_url)
            text = reply.read(1000).decode("ascii", "replace")
    except (OSError, HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _unreachable(f"{url}.md5", error) from None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if found is None:
        raise DataError(f"{url}.md5 holds no MD5", hint="try again later, or take a local folder")
    published = found[0].lower()
    if one.md5 not in (None, published):
        raise DataError(
            f"{url}.md5 says {published}, and this set's MD5 has always been {one.md5}",
            hint="a set that never changes did: look at its source before you use it",
        )
    return published


def _download(url: str, part: Path, on_bytes: OnBytes | None) -> None:
    """Brings `part` to its whole length, going on after what it holds."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if _continue(url, part, on_bytes):
                return
            why: Exception = EOFError("the connection ended before the file did")
        except (OSError, HTTPException) as error:
            why = error
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                break
        if attempt == _ATTEMPTS:
            break
    raise _unreachable(url, why) from None


def _continue(url: str, part: Path, on_bytes: OnBytes | None) -> bool:
    """One request for what is missing; whether the file is whole now."""
    held = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})  # noqa: S310
    try:
        reply: HTTPResponse = urllib.request.urlopen(request, timeout=60)  # noqa: S310  (the caller's base_url)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and error.headers.get("Content-Range", "").endswith(f"/{held}"):
            return True  # nothing is missing
        if error.code == 416:
            part.unlink()  # longer than the file at its source: begin anew
            return False
        raise
    with reply, part.open("ab" if reply.status == 206 else "wb") as file:
        done = held if reply.status == 206 else 0  # a server that knows no ranges sends everything
        length = reply.headers.get("Content-Length")
        size = None if length is None else done + int(length)
        while chunk := reply.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if on_bytes is not None:
                on_bytes(done, size)
    return size is None or done == size


def _unreachable(url: str, error: Exception) -> DataError:
    return DataError(
        f"cannot fetch {url}: {error}",
        hint="without a network, fetch the zip elsewhere and give it, or its folder; what was fetched is kept",
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
