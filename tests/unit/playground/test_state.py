"""What the playground's page shows, worked out without any page."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import re
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.server import ScriptedServer, answers
from tests.unit.fakes import FakeLLM
from zsrec.core.errors import AnswerError, ConfigError, LLMConnectionError, LLMRequestError, TemplateNotFoundError
from zsrec.core.types import Exchange, Message
from zsrec.data.catalog import Catalog
from zsrec.data.history import Feedback, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.llm.protocol import ChatRequest, ServerInfo
from zsrec.playground import answers as shown
from zsrec.playground import draft as drafts
from zsrec.playground import draft as people
from zsrec.playground import snippets
from zsrec.playground.preview import look
from zsrec.playground.state import (
    Feedbacks,
    Fields,
    Latest,
    Question,
    Stoppable,
    StoppedError,
    Workshop,
    ask,
    toggle,
)
from zsrec.prompts import Library
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.by_name import retriever_named

LIBRARY = Library()
ANSWER = "1. Heat - tense\n2. The Unmade (2031)\n3. Solaris\n4. Ronin (1998)\n5. Up (2009)"


class Absent(FakeLLM):
    async def handshake(self) -> ServerInfo:
        raise LLMConnectionError("nothing answers")


def question(history: History, name: str = "generate/default", **further: object) -> Question:
    template = drafts.opened(name, LIBRARY).template
    assert template is not None
    return Question(template, history, **further)  # type: ignore[arg-type]


# -- drafts -------------------------------------------------------------------------------------------


def test_every_listed_template_is_a_draft_without_errors() -> None:
    names = drafts.names(LIBRARY)
    assert {"generate/default", "rank/default", "rank/terse"} <= set(names)
    assert "explain/default" not in names
    for name in names:
        draft = drafts.opened(name, LIBRARY)
        assert (draft.errors, draft.edited) == (0, False)
        assert draft.template is not None
    with pytest.raises(TemplateNotFoundError, match="no template"):
        drafts.opened("generate/defualt", LIBRARY)


def test_a_wrong_text_is_marked_by_line_and_gives_no_template() -> None:
    draft = drafts.opened("generate/default", LIBRARY)
    wrong = drafts.drafted(draft.text.replace("{{ about }}", "{{ abuot }}"), draft.origin, LIBRARY)
    errors = [(line, one) for line, found in wrong.marks().items() for one in found if one.severity == "error"]
    ((line, problem),) = errors
    assert "abuot" in draft.text.replace("{{ about }}", "{{ abuot }}").split("\n")[line - 1]
    assert "did you mean 'about'" in problem.message
    assert (wrong.template, wrong.errors, wrong.edited) == (None, 1, True)


def test_a_task_that_recommends_nothing_cannot_be_run() -> None:
    origin = LIBRARY.find("generate/default")
    draft = drafts.drafted(LIBRARY.find("explain/default").text, origin, LIBRARY)
    assert draft.template is None
    assert "recommends nothing" in draft.problems[-1].message


def test_a_giant_text_is_refused_unread() -> None:
    draft = drafts.drafted("x" * 70_000, LIBRARY.find("generate/default"), LIBRARY)
    assert [problem.line for problem in draft.problems] == [1]


def test_a_template_that_extends_its_own_name_may_be_edited(tmp_path: Path) -> None:
    (tmp_path / "generate").mkdir()
    own = (
        '---\ntask: generate\n---\n{% extends "generate/default" %}\n{% block format %}As a list.{% endblock %}\n'
    )
    (tmp_path / "generate" / "default.j2").write_text(own)
    library = Library(tmp_path)
    draft = drafts.drafted(own.replace("As a", "Just a"), library.find("generate/default"), library)
    assert draft.template is not None
    assert "Just a list." in draft.template.render(history=["Heat"])[-1].content


@settings(max_examples=25)
@given(st.text(max_size=300))
def test_no_text_breaks_the_check(text: str) -> None:
    draft = drafts.drafted(text, LIBRARY.find("generate/default"), LIBRARY)
    assert (draft.template is None) == (draft.errors > 0)


# -- people -------------------------------------------------------------------------------------------


def test_a_typed_history_says_likes_and_dislikes() -> None:
    history = people.typed_history("Heat\n\n+ Ronin \n- Up (2009)\n-\n+1 (2013)\n")
    assert [(event.item, event.feedback.value) for event in history.events] == [
        ("Heat", "seen"), ("Ronin", "liked"), ("Up (2009)", "disliked"), ("-", "seen"), ("+1 (2013)", "seen"),
    ]  # fmt: skip


def test_somebody_of_whom_nothing_is_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing is known"):
        people.Person(typed=" \n").history({})
    with pytest.raises(ConfigError, match="no user '7'"):
        people.Person(user="7").history({})
    with pytest.raises(ConfigError, match="20,001 lines"):
        people.typed_history("Heat\n" * 20_001)
    assert people.Person(about="slow films").history({}) == History()


def test_users_are_listed_in_words(films: Catalog) -> None:
    listed = people.listed({"a": History.of("3"), "b": History.of("gone"), "c": History()}, films)
    assert listed == {
        "a": "a: 1 events, last The Matrix (1999)",
        "b": "b: 1 events, last gone",
        "c": "c: no events",
    }


def test_chips_are_the_newest_events_first(films: Catalog) -> None:
    history = History.of("3", "gone").like("1")
    assert people.chips(history, films, most=2) == [("Heat (1995)", Feedback.LIKED), ("gone", Feedback.SEEN)]
    assert people.chips(History(), films) == []


def test_label_bars_are_probabilities_the_most_likely_first() -> None:
    bars = shown.label_bars({"A": math.log(0.1), "B": math.log(0.6), "C": math.log(0.2)}, most=1)
    assert [(label, round(p, 6)) for label, p in bars] == [("B", 0.6), ("2 others", 0.3)]


def test_fields_make_a_question(films: Catalog) -> None:
    template = drafts.opened("rank/default", LIBRARY).template
    free = drafts.opened("generate/default", LIBRARY).template
    assert template is not None
    assert free is not None
    fields = Fields(people.Person(user="a", about=" slow "), 3, ("1", "2"))
    asked = fields.question(template, {"a": History.of("3")})
    assert (asked.history, asked.k, asked.about, asked.candidates) == (History.of("3"), 3, "slow", ("1", "2"))
    assert fields.question(free, {"a": History.of("3")}).candidates == ()
    with pytest.raises(ConfigError, match="no user 'a'"):
        fields.question(template, {})


# -- preview ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["generate/default", "rank/default", "rank/label", "rank/window"])
def test_a_preview_is_what_is_sent(films: Catalog, name: str) -> None:
    llm = FakeLLM("A", counts=True)
    recommender = Recommender(films, llm=llm)
    asked = question(History.of("Heat"), name, k=2, candidates=("2", "3", "4") if name.startswith("rank") else ())
    found = look(recommender, asked)
    assert llm.requests == []
    with contextlib.suppress(AnswerError):
        ask(recommender, asked)
    assert found.request == llm.requests[0]
    assert found.counted
    (prompt,) = found.prompts
    assert len(prompt.tokens) == len(prompt.request.messages)
    assert sum(prompt.tokens) == sum(llm.count(message.content) for message in prompt.request.messages)


def test_without_a_server_tokens_are_an_estimate(films: Catalog) -> None:
    found = look(Recommender(films, llm=Absent("")), question(History.of("Heat")))
    assert (found.counted, found.server) == (False, None)
    (prompt,) = found.prompts
    assert prompt.tokens == tuple(len(message.content.encode()) // 4 for message in prompt.request.messages)


def test_a_preview_shows_every_question_and_marks_what_is_not_answered_yet(films: Catalog) -> None:
    llm = FakeLLM("crime", "Heat", "1. Thief", counts=True)
    recommender = Recommender(films, llm=llm)
    asked = question(History.of("Heat"), "nir/rank", k=2, candidates=("2", "3", "4"))
    found = look(recommender, asked)
    assert llm.requests == []
    assert [prompt.step for prompt in found.prompts] == ["taste", "typical", ""]
    texts = [prompt.request.messages[-1].content for prompt in found.prompts]
    assert [text.count("[the answer of 'taste']") for text in texts] == [0, 1, 1]
    assert [text.count("[the answer of 'typical']") for text in texts] == [0, 0, 1]
    assert found.at_once == 1
    ask(recommender, asked)
    assert found.prompts[0].request == llm.requests[0]
    assert [prompt.request.sampling for prompt in found.prompts] == [one.sampling for one in llm.requests]
    sent = llm.requests[-1].messages[-1].content
    marks = (("taste", "crime"), ("typical", "Heat"))
    for name, answer in marks:
        texts[-1] = texts[-1].replace(f"[the answer of {name!r}]", answer)
    assert texts[-1] == sent


# -- stopping -----------------------------------------------------------------------------------------


def test_a_stopped_run_ends_at_once_and_asks_nothing_more(films: Catalog) -> None:
    class Slow(FakeLLM):
        cancelled = 0

        async def chat(self, request: ChatRequest) -> Exchange:
            self.requests.append(request)
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            raise AssertionError("nobody stopped it")

    begun, llm = threading.Event(), Slow("")
    with Recommender(films, llm=llm) as recommender:
        stoppable = Stoppable(llm)
        threading.Thread(target=lambda: (begun.wait(10), stoppable.stop(), stoppable.stop())).start()
        with pytest.raises(StoppedError):
            ask(recommender.with_llm(stoppable), question(History.of("Heat")))
        assert (len(llm.requests), llm.cancelled) == (1, 1)
        with pytest.raises(StoppedError):
            ask(recommender.with_llm(stoppable), question(History.of("Heat")))
        assert len(llm.requests) == 1
        recommender.server()  # the recommender itself goes on


# -- answers ------------------------------------------------------------------------------------------


def test_the_pieces_are_the_answer_and_say_what_became_of_each_mention(films: Catalog) -> None:
    result = ask(Recommender(films, llm=FakeLLM(ANSWER)), question(History.of("Ronin"), k=2)).recommendations
    pieces = shown.pieces(result, 0, films)
    assert "".join(piece.text for piece in pieces) == ANSWER
    assert [(piece.text, piece.kind) for piece in pieces if piece.kind != "plain"] == [
        ("Heat", "matched"), ("The Unmade (2031)", "unmatched"), ("Solaris", "unmatched"),
        ("Ronin (1998)", "left out"), ("Up (2009)", "matched"),
    ]  # fmt: skip
    notes = {piece.text: piece.note for piece in pieces}
    assert re.fullmatch(r"Heat \(1995\) · (exact|fuzzy) \d+%", notes["Heat"])
    assert notes["Solaris"].startswith("could be several items: Solaris")
    assert notes["Ronin (1998)"].endswith("already in the history")
    assert [(row.rank, row.title, row.reason) for row in shown.rows(result)] == [
        (1, "Heat (1995)", "tense"), (2, "Up (2009)", ""),
    ]  # fmt: skip
    assert shown.summary(result).startswith("2 recommended · 5 named, 2 of them without an item · ")


_TWO = Catalog.from_items([{"id": "1", "title": "Heat (1995)"}, {"id": "2", "title": "Up"}])
_SAYS = FakeLLM("")
_RECOMMENDER = Recommender(_TWO, llm=_SAYS)
_QUESTION = question(History.of("1"))


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from(["1. ", "Heat", "Up", " (1995)", "\n", ", ", "Zardoz", "🎬", "<b>", " - why"]), min_size=1
    )
)
def test_pieces_of_any_answer_are_the_answer(parts: list[str]) -> None:
    _SAYS.answers = ["".join(parts)]
    result = ask(_RECOMMENDER, _QUESTION).recommendations
    assert "".join(piece.text for piece in shown.pieces(result, 0, _TWO)) == "".join(parts)


def test_unknown_titles_of_a_long_history_are_named_and_counted(films: Catalog) -> None:
    asked = question(History.of(*(f"Unheard {n} of" for n in range(40))))
    result = ask(Recommender(films, llm=FakeLLM(ANSWER)), asked).recommendations
    assert next(shown.remarks(result, films)).endswith("and 37 more")


# -- feedback -----------------------------------------------------------------------------------------


def test_feedback_refines_the_next_round_and_a_failure_loses_nothing(films: Catalog) -> None:
    llm = FakeLLM("1. Heat (1995)\n2. Up (2009)", LLMRequestError("no"), "1. Thief (1981)")
    recommender = Recommender(films, llm=llm)
    first = ask(recommender, question(History.of("Ronin")))
    feedbacks = Feedbacks(words="funnier")
    for feedback in (Feedback.LIKED, Feedback.DISLIKED, Feedback.LIKED):
        toggle([feedbacks], "1", feedback)
    toggle([feedbacks], "4", Feedback.LIKED)
    toggle([feedbacks], "4", Feedback.LIKED)
    asked = question(feedbacks.applied(recommender, first.after)[0])
    with pytest.raises(LLMRequestError):
        ask(recommender, asked)
    second = ask(recommender, asked)
    assert [row.title for row in shown.rows(second.recommendations)] == ["Thief (1981)"]
    assert [(event.item, event.feedback.value) for event in second.after.events[1:]] == [("1", "liked")]
    assert [critique.text for critique in second.after.critiques] == ["funnier"]
    assert second.after.shown == ("1", "4", "6")


def test_one_judgement_counts_for_both_templates_and_is_taken_back_in_both() -> None:
    one, other = Feedbacks(), Feedbacks()
    toggle([one, other], "1", Feedback.LIKED)
    assert one.marks == other.marks == {"1": Feedback.LIKED}
    one.marks.clear()  # its round was answered, the other's was not
    toggle([one, other], "1", Feedback.LIKED)
    assert one.marks == other.marks == {}


# -- snippets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("name", ["generate/default", "rank/default"])
def test_the_python_and_the_curl_send_what_the_page_sent(
    name: str, edited: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zsrec.data import movielens
    from zsrec.retrieval import popularity

    monkeypatch.chdir(tmp_path)
    catalog, histories = movielens.sample()
    user = next(iter(histories))
    draft = drafts.opened(name, LIBRARY)
    if edited:
        text = draft.text.replace("You recommend", 'You \\ """ recommend')
        draft = drafts.drafted(text, draft.origin, LIBRARY)
    assert draft.template is not None
    with ScriptedServer(answers("1. Heat (1995)")) as server:
        recommender = Recommender(catalog, base_url=server.base_url, popularity=popularity(histories.values()))
        history = histories[user].like("6").say('it\'s "fun"').dislike("1", "2").show(["3"])
        asked = Question(draft.template, history, k=3, about="slow 'films'")
        with recommender:
            info = recommender.server()
            request = look(recommender, asked).request
            ask(recommender, asked)
        assert request is not None
        curl = snippets.as_curl(request, info)
        python = snippets.as_python(
            asked, draft, opening=("catalog, histories = movielens.sample()",), known=user,
            base=len(histories[user].events), model={"base_url": server.base_url}, popular=True,
        )  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(python, "snippet", "exec"), {})
    page, script = server.requests
    assert script == page
    assert json.loads(curl[curl.index("{\n") : curl.rindex("JSON")]) == page
    assert "Heat" not in printed.getvalue()  # it was liked, so it is known


def test_a_conversation_goes_on_with_titles_feedback_and_words(films: Catalog) -> None:
    llm = FakeLLM("1. Ronin\n2. Heat", "1. Thief")
    recommender = Recommender(films, llm=llm)
    person = people.Person(opening=" I saw Heat. Something quieter? ")
    assert people.Person(opening=" ").conversation == ()
    template = drafts.opened("converse/default", LIBRARY).template
    assert template is not None
    asked = Fields(person, 3, ()).question(template, {})
    first = ask(recommender, asked)
    assert [row.title for row in shown.rows(first.recommendations)] == ["Ronin (1998)"]
    assert next(shown.remarks(first.recommendations, films)) == (
        "named in the conversation, so not recommended: Heat (1995) (seen)"
    )
    assert [turn.role for turn in first.talk] == ["user", "assistant"]
    feedbacks = Feedbacks(words="older")
    toggle([feedbacks], "2", Feedback.LIKED)
    history, talk = feedbacks.applied(recommender.with_template(template), first.after, first.talk)
    second = ask(recommender, replace(asked, history=history, conversation=talk))
    assert [turn.text for turn in second.talk] == [
        "I saw Heat. Something quieter?", "Ronin (1998)", "older", "Thief (1981)"
    ]  # fmt: skip
    assert "older" in llm.requests[-1].messages[-1].content
    draft = drafts.opened("converse/default", LIBRARY)
    assert "conversation=[('user', 'I saw Heat." in snippets.as_python(asked, draft, opening=())


def test_a_retriever_takes_turns_with_a_model_that_names_titles(films: Catalog) -> None:
    known = Interactions.from_histories(
        {"a": History.of("1", "6"), "b": History.of("1", "6")}, catalog=Ids(films.ids)
    )
    recommender = Recommender(films, llm=FakeLLM("1. Ronin\n2. Up\n3. Solaris (1972)"))
    workshop = Workshop(recommender, LIBRARY, {}, known=known)
    assert list(workshop.retrievers)[:3] == ["none", "pop", "itemknn"]
    assert list(Workshop(recommender, LIBRARY, {}).retrievers)[:2] == ["none", "lexical"]
    assert workshop.with_retriever("itemknn") is workshop.with_retriever("itemknn")
    asked = question(History.of("1"), k=2, retriever="itemknn")
    found = ask(workshop.with_retriever("itemknn"), asked).recommendations
    assert [(one.item.id, one.source) for one in found] == [("2", "llm"), ("6", "retrieval")]
    alone = ask(workshop.with_retriever("none"), question(History.of("1"), k=2)).recommendations
    assert {one.source for one in alone} == {"llm"}


def test_templates_are_listed_by_group() -> None:
    names = list(
        Workshop(
            Recommender(Catalog.from_items([{"id": "1", "title": "x"}]), llm=FakeLLM()), LIBRARY, {}
        ).templates
    )
    groups = [people.group_of(name) for name in names]
    assert names[0] == "generate/default"
    assert len([1 for a, b in pairwise(groups) if a != b]) == len(set(groups)) - 1
    assert {
        "converse/default": "Conversations",
        "rank/label": "Ranking candidates",
        "zh/rank": "Chinese",
    }.items() <= (dict(zip(names, groups, strict=True)).items())


def test_the_script_has_the_pages_retriever() -> None:
    from zsrec.data import movielens

    movies = movielens.sample()
    known = Interactions.from_histories(movies.histories, catalog=Ids(movies.catalog.ids))
    user, history = next(iter(movies.histories.items()))
    draft = drafts.opened("rank/default", LIBRARY)
    assert draft.template is not None
    with ScriptedServer(answers("1. Heat (1995)")) as server:
        retriever = retriever_named("cooccurrence", known, movies.catalog)
        with Recommender(movies.catalog, base_url=server.base_url).with_retriever(retriever) as recommender:
            asked = Question(draft.template, history, k=3, retriever="cooccurrence")
            ask(recommender, asked)
        python = snippets.as_python(
            asked, draft, opening=("catalog, histories = movielens.sample()",), known=user,
            base=len(history.events), model={"base_url": server.base_url}, popular=True,
        )  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(python, "snippet", "exec"), {})
    page, script = server.requests
    assert script == page
    plain = drafts.opened("generate/default", LIBRARY)
    assert plain.template is not None
    assert "retriever" not in snippets.as_python(Question(plain.template, history), plain, opening=())
    asked = Question(plain.template, history, retriever="cooccurrence")
    assert "fill='retrieval'" in snippets.as_python(asked, plain, opening=())


def test_a_typed_history_is_written_out() -> None:
    draft = drafts.opened("generate/default", LIBRARY)
    history = people.typed_history("Heat\n+ Ronin\n+ .with_events(\n- Up").say("no 'x'")
    asked = question(history)
    python = snippets.as_python(asked, draft, opening=("catalog = Catalog.from_file('m.csv')",))
    line = next(one for one in python.splitlines() if one.startswith("history = "))
    rebuilt = eval(line.removeprefix("history = "), {"History": History})
    assert rebuilt == history
    assert "from zsrec import Catalog, History, Recommender" in python


@given(st.text())
def test_any_template_text_survives_as_a_literal(text: str) -> None:
    assert eval(snippets._literal(text)) == text


def test_a_curl_never_holds_the_key() -> None:
    request = ChatRequest(messages=(Message(role="user", content="it's $HOME\nJSON\n`x`"),))
    info = ServerInfo(base_url="http://127.0.0.1:8000/v1", model="m", vllm=True)
    curl = snippets.as_curl(request, info)
    assert "${ZSREC_API_KEY:-none}" in curl
    assert curl.count("\nJSON\n") == 1
    assert "<<'JSON'" in curl


# -- work ---------------------------------------------------------------------------------------------


def test_only_the_newest_state_is_worked_on() -> None:
    state, seen = {"value": 0}, []

    async def job() -> None:
        seen.append(state["value"])
        await asyncio.sleep(0.01)

    async def run() -> None:
        latest = Latest(job)
        first = asyncio.ensure_future(latest.ask())
        for value in range(1, 6):
            await asyncio.sleep(0.001)
            state["value"] = value
            await latest.ask()
        await first

    asyncio.run(run())
    assert seen[-1] == 5
    assert len(seen) < 6


def test_who_goes_on_typing_is_waited_for() -> None:
    runs = []

    async def job() -> None:
        runs.append(1)

    async def run() -> None:
        latest = Latest(job, 0.2)
        first = asyncio.ensure_future(latest.ask())
        for _ in range(10):  # never 0.2 s without another one
            await asyncio.sleep(0.05)
            await latest.ask()
        assert runs == []
        await first

    asyncio.run(run())
    assert runs == [1]
