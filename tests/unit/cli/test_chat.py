"""`zsrec chat` as a person types it, piped, against a scripted server."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.server import ScriptedServer, answers
from zsrec import cli

ANSWER = "1. The Matrix (1999) - bends the mind\n2. Ronin (1998)\n3. Bogus \x1b[31mFilm"
Chat = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(answers(ANSWER)) as one:
        monkeypatch.setenv("ZSREC_BASE_URL", one.base_url)
        monkeypatch.setenv("ZSREC_MAX_RETRIES", "0")
        yield one


@pytest.fixture
def chat(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Chat:
    films = tmp_path / "films.csv"
    titles = ["Heat (1995)", "Ronin (1998)", '"Matrix, The (1999)"', "Up (2009)", "Thief (1981)"]
    films.write_text("id,name\n" + "".join(f"{n},{title}\n" for n, title in enumerate(titles, start=1)))
    contacts = tmp_path / "contacts.csv"
    contacts.write_text("userId,movieId\n" + "".join(f"u{n},{item}\n" for n in range(3) for item in (1, 4, 5)))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(text: str, *argv: object) -> tuple[int, str, str]:
        shown = [
            "zsrec",
            "chat",
            "--catalog",
            films,
            "--id",
            "id",
            "--title",
            "name",
            "--domain",
            "movies",
            "-k",
            3,
            *argv,
        ]
        monkeypatch.setattr("sys.argv", [str(one) for one in shown])
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        with pytest.raises(SystemExit) as caught:
            cli.main()
        found = capsys.readouterr()
        return int(caught.value.code or 0), found.out, found.err

    return run


def prompts(server: ScriptedServer) -> list[str]:
    return [body["messages"][-1]["content"] for body in server.requests]


def test_words_are_answered_and_go_on_as_a_conversation(chat: Chat, server: ScriptedServer) -> None:
    code, shown, notes = chat("I loved Heat\nless shooting\n/quit\nnever read\n")
    assert code == 0
    assert shown.splitlines()[:2] == ["1. The Matrix (1999) – bends the mind", "2. Ronin (1998)"]
    assert "note: the answer gave 2 of the 3 items asked for" in notes
    assert "not matched: 'Bogus" in notes  # what the model named and the catalog lacks
    assert "\x1b" not in shown + notes
    first, second = prompts(server)
    assert "The user liked: Heat (1995)" in first
    assert "User: I loved Heat\nYou: The Matrix (1999); Ronin (1998)\nUser: less shooting" in second


@pytest.mark.parametrize("how", [(), ("--trace",)])
def test_what_is_noted_of_the_server_is_said_once(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    with ScriptedServer(answers(ANSWER), owner="llamacpp") as llama:
        monkeypatch.setenv("ZSREC_BASE_URL", llama.base_url)
        code, shown, notes = chat("I loved Heat\nless shooting\nquiet films\n", *how)
    assert code == 0
    assert len(llama.requests) == 3
    assert (shown + notes).count("repetition_penalty is sent as repeat_penalty") == 1
    assert (shown + notes).count("items asked for") == 3  # the notes of an answer are said of each


def test_titles_are_judged_by_number(chat: Chat, server: ScriptedServer) -> None:
    code, _, errors = chat("quiet films\nlike 1\n-2\n+7\ndislike x\n")
    assert code == 0
    assert "The user liked: The Matrix (1999)" in prompts(server)[1]
    assert "there is no title number '2'" in errors  # nothing new came in the second round
    assert "the last answer recommended nothing: say what you want, or /undo for the list before" in errors
    assert "left out: 'The Matrix (1999)' (seen)" in errors
    assert "there is no title number '7'" in errors
    assert "say first what you want" in chat("like 1\n")[2]
    assert "User: dislike x" in prompts(server)[-1]  # no number: plain words


def test_undo_takes_a_round_back(chat: Chat, server: ScriptedServer) -> None:
    _, shown, errors = chat("quiet films\nlike 1\n/undo\n/undo\n/undo\nloud films\n")
    assert shown.count("Taken back.") == 2
    assert "there is nothing to take back" in errors
    assert prompts(server)[-1].count("User: ") == 1
    assert "liked" not in prompts(server)[-1]


def test_why_is_the_models_reason_or_a_sentence(chat: Chat, server: ScriptedServer) -> None:
    _, shown, errors = chat("quiet films\n/why 1\n/why 2\n/why 9\n/nothing\n/help\n")
    assert "\nbends the mind\n" in shown
    assert len(prompts(server)) == 2
    assert "Recommended: Ronin (1998)" in prompts(server)[1]
    assert "there is no title number '9'" in errors
    assert "there is no such command" in errors
    assert "/save FILE" in shown


def test_a_saved_conversation_goes_on(chat: Chat, server: ScriptedServer, tmp_path: Path) -> None:
    chat("quiet films\nlike 2\n/save talk.json\n/save\n")
    path = tmp_path / "talk.json"
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["conversation"][0] == {"role": "user", "text": "quiet films"}
    chat("and older\n", "--resume", path)
    assert "User: quiet films\nYou: The Matrix (1999); Ronin (1998)" in prompts(server)[-1]
    assert "The user liked: Ronin (1998)" in prompts(server)[-1]
    path.write_text('{"conversation": [{"role": "system", "text": "x"}]}')
    code, _, errors = chat("x\n", "--resume", path)
    assert (code, "not a saved conversation: conversation.0.role" in errors) == (1, True)
    assert chat("x\n", "--resume", tmp_path / "absent.json")[0] == 1


def test_retrieval_fills_up_and_answers_without_a_server(
    chat: Chat, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = ("--retriever", "itemknn", "--interactions", tmp_path / "contacts.csv", "--columns", "userId,movieId")
    _, shown, notes = chat("I loved Heat\n", *how)
    assert re.match(r"3\. (Up|Thief) \(\d+\) – 3 of the 3 who saw Heat", shown.splitlines()[2])
    assert "from retrieval (lexical and itemknn)" in notes
    monkeypatch.setenv("ZSREC_BASE_URL", "http://127.0.0.1:9/v1")
    code, shown, notes = chat("I loved Heat\n", *how)
    assert code == 0
    assert {line[3:].split(" – ")[0] for line in shown.splitlines()} == {"Up (2009)", "Thief (1981)"}
    assert "the model could not be reached" in notes
    code, shown, errors = chat("I loved Heat\n")
    assert (code, shown, "error: " in errors) == (0, "", True)


def test_bad_options_and_long_words_are_errors(chat: Chat, server: ScriptedServer) -> None:
    code, _, errors = chat("x\n", "--retriever", "itemknn")
    assert (code, "--retriever itemknn without interactions" in errors) == (1, True)
    code, _, errors = chat("x" * 3000 + "\nquiet\n")
    assert (code, "has 3,000 characters" in errors) == (0, True)
    assert len(prompts(server)) == 1
