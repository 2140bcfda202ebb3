"""A service over a scripted model, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

from starlette.testclient import TestClient

from tests.unit.fakes import Answer, FakeLLM
from zsrec.core.privacy import Pseudonyms
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.prompts import Library, Template
from zsrec.recommender import loader
from zsrec.recommender.loader import Sources
from zsrec.serving.app import create_app
from zsrec.serving.auth import Keys
from zsrec.serving.service import Options, Service

ANSWER = "1. The Matrix (1999) - bends the mind\n2. Ronin (1998)\n3. John Wick (2014)"
CATALOG = """movieId,title,genres
1,Heat (1995),Crime
2,Ronin (1998),Action
3,"Matrix, The (1999)",Sci-Fi
4,Up (2009),Animation
5,Toy Story (1995),Animation
6,Thief (1981),Crime
"""
CONTACTS = "userId,movieId,timestamp\na,1,1\na,2,2\na,6,3\nb,1,1\nb,2,2\nc,4,1\nc,5,2\n"
PSEUDONYMS = Pseudonyms(b"0123456789abcdef")


class SlowLLM(FakeLLM):
    """Answers after so many seconds; `left` counts callers that did not wait."""

    def __init__(self, *answers: Answer, seconds: float) -> None:
        super().__init__(*answers)
        self.seconds = seconds
        self.left = 0

    async def chat(self, request: ChatRequest) -> Exchange:
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.left += 1
            raise
        return await super().chat(request)


class LoadedOnce(Library):
    """The shipped templates, loaded once a test run: a service loads all forty, which takes most of a second."""

    _loaded: ClassVar[dict[str | Path, Template]] = {}

    def load(self, name_or_path: str | Path) -> Template:
        if name_or_path not in self._loaded:
            self._loaded[name_or_path] = super().load(name_or_path)
        return self._loaded[name_or_path]


def sources(folder: Path, *, contacts: bool = True, prompts: Path | None = None) -> Sources:
    """A catalog of six films in a folder, and contacts of three users."""
    (folder / "films.csv").write_text(CATALOG)
    (folder / "contacts.csv").write_text(CONTACTS)
    contacts_file = folder / "contacts.csv" if contacts else None
    return Sources(catalog=folder / "films.csv", interactions=contacts_file, prompts=prompts)


def make(
    folder: Path, llm: LLM, *, contacts: bool = True, prompts: Path | None = None, **options: object
) -> Service:
    """A service with its stock loaded."""
    where = sources(folder, contacts=contacts, prompts=prompts)
    with patch.object(loader, "Library", LoadedOnce if prompts is None else Library):
        return Service(where, Settings.load(), llm, Options.model_validate(options), PSEUDONYMS)


@contextmanager
def client(service: Service, keys: Keys | None = None) -> Iterator[TestClient]:
    """A client that raises nothing: what a caller would see."""
    with TestClient(create_app(service, keys), raise_server_exceptions=False) as http:
        yield http
