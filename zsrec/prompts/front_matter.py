"""Front matter: the YAML between the two `---` lines at the top of a template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from zsrec.core.types import ANSWER_STYLES, Frozen, Sampling
from zsrec.core.untrusted_text import TEXT_LIMIT
from zsrec.prompts.diagnostics import Problem, did_you_mean

Ranker = Literal["generate", "label", "window", "pairwise", "choose"]
Calibration = Literal["none", "labels", "titles"]

DEFAULT_LLM_WEIGHT = 0.1
"""The model's weight in the fused score; docs/ranking.md says where it comes from."""


class Ranking(Frozen):
    """The `ranking:` of a template's front matter.

    Attributes:
        permutations: The most orders of the candidates that are asked about; their log-probabilities are
            averaged, and asking stops before as soon as the first k stay the same. 1 asks once, in the
            candidates' own order. For the rankers that read labels.
        calibrate: "labels" divides out what the model thinks of each label when all titles and the history are
            "N/A"; "titles" what it thinks of these very candidates when only the history is "N/A" (this takes a
            further request an order). For the rankers that read labels.
        llm_weight: The w of score = (1 - w) · prior + w · llm where a retriever gives a prior; in [0, 1].
        window: Candidates in one window of the ranker "window"; "pairwise" has 2.
        stride: How far a window moves; "pairwise" has 1.
        within: How a window is ranked: by its "label", or by the answer's text ("generate").
    """

    permutations: int = Field(default=1, ge=1, le=64)
    calibrate: Calibration = "none"
    llm_weight: float = Field(default=DEFAULT_LLM_WEIGHT, ge=0.0, le=1.0)
    window: int = Field(default=4, ge=2, le=128)
    stride: int = Field(default=2, ge=1, le=127)
    within: Literal["label", "generate"] = "label"

    def reads_labels(self, ranker: Ranker) -> bool:
        """Whether the ranker reads the log-probabilities of labels."""
        return ranker == "label" or (ranker in ("window", "pairwise") and self.within == "label")

    def misfit(self, ranker: Ranker) -> tuple[str, str] | None:
        """The field that does not go with the ranker or another field, and why; None where all fit."""
        if not self.reads_labels(ranker):
            if self.permutations > 1:
                return "permutations", f"the ranker {ranker!r} has no log-probabilities to average over orders"
            if self.calibrate != "none":
                return "calibrate", f"the ranker {ranker!r} has no log-probabilities to calibrate"
        if ranker == "window" and self.stride >= self.window:
            return "stride", f"windows of {self.window} that move by {self.stride} do not overlap"
        return None


Task = Literal["generate", "rank", "compare", "explain", "profile"]
Scope = Literal["catalog", "pool", "user"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

MOST_STEPS = 8
"""Questions that one template may ask before its own; each costs a request for every user."""

CITED = "{history}"
"""Where a pattern has the title of one of the history's items."""

_TAKEN = frozenset("history candidates k about domain shown conversation range dict namespace loop".split())
_MAX_CHARACTERS = 16_384
_FENCE = "---"
_Path = tuple[str | int, ...]


class Variable(Frozen, strict=True):
    """A variable that a template declares.

    Attributes:
        scope: Who shares its value: every request of a "catalog", the requests of one candidate "pool", or
            one "user". Prompts should use them in this order, so that the server can share the prefix.
        type: "str", "int", "items" (a list of items), or "turns" (a conversation).
        default: The value where the caller gives none; None means there is no default.
        last: For `history`: how many of the newest events are shown; None shows all that fit.
        fields: Of "items", the catalog's columns that the template reads; with them, any other is an error of the
            checker's. None says nothing: a column may have any name.
    """

    scope: Scope
    type: Literal["str", "int", "items", "turns"] = "str"
    default: str | int | None = None
    last: int | None = Field(default=None, ge=1)
    fields: tuple[str, ...] | None = None


class StepOptions(Frozen, strict=True):
    """A question asked before the final one; its answer is a text that later blocks may show.

    Attributes:
        sampling: What differs from the template's sampling.
        limit: Characters kept of the answer where a later step shows it.
    """

    sampling: Sampling = Sampling()
    limit: int = Field(default=600, ge=1, le=TEXT_LIMIT)


class Images(Frozen, strict=True):
    """The `images:` of a template's front matter; `images: candidates` alone takes the defaults.

    Attributes:
        of: Whose images follow the prompt's text: those of the "candidates", or of the "history".
        column: The catalog's column of paths or addresses.
        most: The most images of one prompt: the first candidates, or the newest events.
        kilobytes: The largest file, in units of 1,000 bytes.
    """

    of: Literal["history", "candidates"]
    column: str = "image"
    most: int = Field(default=8, ge=1, le=64)
    kilobytes: int = Field(default=1000, ge=1, le=20_000)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"of": given} if isinstance(given, str) else given


class FrontMatter(Frozen, strict=True):
    """The front matter of a template.

    Attributes:
        task: What the prompt asks for; None in a template that takes it from the one it extends.
        version: Incremented with every change of wording; part of every trace.
        answer: The parser that reads the model's answer (one of `zsrec.core.types.ANSWER_STYLES`).
        side: Where the answer pairs titles ("watched - candidate"), the side that is recommended.
        ranker: How a "rank" template's candidates are ranked (docs/ranking.md).
        ranking: Options of the ranker.
        pattern: A regular expression that constrains the answer of an "explain" template; `{history}` is the title
            of one of the history's items. Needs a server that supports constrained output.
        sampling: How the model picks tokens.
        images: Whose pictures are sent with the prompt; None for text alone.
        variables: What the template may use, by name.
        steps: Questions asked before the final one, in order; their blocks are `NAME_user` and `NAME_system`.
        description: One line for `zsrec prompts list`.
    """

    task: Task | None = None
    version: int = Field(default=1, ge=1, le=1_000_000_000)
    answer: str = "titles"
    side: Literal["left", "right"] | None = None
    ranker: Ranker = "generate"
    ranking: Ranking = Ranking()
    pattern: str = ""
    sampling: Sampling = Sampling()
    images: Images | None = None
    variables: Mapping[str, Variable] = Field(default_factory=dict)
    steps: Mapping[str, StepOptions] = Field(default_factory=dict)
    description: str = ""

    @property
    def needs_labels(self) -> bool:
        """Whether the model is to name candidates by labels, so that the prompt must show them."""
        return self.ranker == "choose" or self.ranking.reads_labels(self.ranker)

    def step_sampling(self, step: str) -> Sampling:
        """The sampling of a step: the template's with what the step says in its place."""
        own = self.steps[step].sampling
        return self.sampling.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    def extending(self, parent: FrontMatter) -> FrontMatter:
        """This front matter over that of the template it extends.

        What it does not say is taken from the parent: fields of sampling and ranking, variables and steps one by
        one. The version is never inherited.
        """
        inherited = {name: getattr(parent, name) for name in parent.model_fields_set - {"version"}}
        own = {name: getattr(self, name) for name in self.model_fields_set}
        merged = inherited | own
        for group in ("sampling", "ranking"):
            if group in own:
                mine = getattr(self, group)
                said = {name: getattr(mine, name) for name in mine.model_fields_set}
                merged[group] = getattr(parent, group).model_copy(update=said)
        merged["variables"] = {**parent.variables, **self.variables}
        merged["steps"] = {**parent.steps, **self.steps}
        return FrontMatter(**merged)


def split(text: str, path: str) -> tuple[str, str, list[Problem]]:
    """Splits a template file into front matter and body; both keep the file's line numbers.

    Returns:
        The YAML, the Jinja body, and what is wrong (then both are empty).
    """
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        return "", "", [Problem(path, 1, "a template starts with '---' and its front matter")]
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() == _FENCE), None)
    if end is None:
        return "", "", [Problem(path, 1, "the front matter has no closing '---'")]
    return "\n" + "\n".join(lines[1:end]), "\n" * (end + 1) + "\n".join(lines[end + 1 :]), []


@lru_cache(maxsize=128)  # an editor's checks and a library's look-ups read the same few texts again and again
def parse_front_matter(
    yaml_text: str, path: str
) -> tuple[FrontMatter | None, Mapping[_Path, int], tuple[Problem, ...]]:
    """Reads front matter as `split` returned it.

    Returns:
        The front matter (None where it cannot be used), the line of every key in it by its place, for
        example `("variables", "history")`, and what is wrong.
    """
    if len(yaml_text) > _MAX_CHARACTERS:
        return None, {}, (Problem(path, 1, f"the front matter is longer than {_MAX_CHARACTERS} characters"),)
    try:
        loader = yaml.SafeLoader(yaml_text)
    except yaml.reader.ReaderError as error:
        line = yaml_text.count("\n", 0, error.position) + 1
        what = f"the front matter holds the control character U+{int(error.character):04X}"
        return None, {}, (Problem(path, line, what),)
    try:
        refused = _refuse(yaml_text)
        if refused is not None:
            return None, {}, (Problem(path, *refused),)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            return None, {}, (Problem(path, 1, "the front matter is not a mapping: write 'key: value' lines"),)
        lines: dict[_Path, int] = {}
        problems = list(_walk(node, (), lines, path))
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return (
            None,
            {},
            (Problem(path, line, f"the front matter is not valid YAML: {_in_words(error, yaml_text)}"),),
        )
    except (yaml.YAMLError, ValueError) as error:
        return None, {}, (Problem(path, 1, f"the front matter cannot be read: {error}"),)
    finally:
        loader.dispose()
    if problems:
        return None, lines, tuple(problems)
    try:
        front = FrontMatter.model_validate(_tuples(data), strict=True)
    except ValidationError as invalid:
        return None, lines, tuple(_explain(invalid, lines, path))
    return front, lines, tuple(_check_values(front, lines, path))


_STARTS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_ENDS = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_MAX_DEPTH = 8


def _refuse(yaml_text: str) -> tuple[int, str] | None:
    """The line and message of a YAML feature that front matter does not support; None where there is none."""
    depth = 0
    for token in yaml.scan(yaml_text, yaml.SafeLoader):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            return line, "YAML anchors and aliases ('&', '*') are not supported; quote the value"
        depth += isinstance(token, _STARTS) - isinstance(token, _ENDS)
        if depth > _MAX_DEPTH:
            return line, "the front matter is nested too deeply"
    return None


def _in_words(error: yaml.MarkedYAMLError, yaml_text: str) -> str:
    """What is wrong with the line of a YAML error, and how to write it."""
    mark = error.problem_mark
    line = yaml_text.split("\n")[mark.line] if mark is not None and mark.line <= yaml_text.count("\n") else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab at the start of a line; indent with spaces"
    key, colon, value = line.partition(": ")
    if colon and (": " in value or value.strip()[:1] in ("@", "`", "%", "|", ">", "]", "}", ",")):
        return f'the value of {key.strip()!r} has a special character; quote the text: {key.strip()}: "…"'
    if colon and (value.count('"') % 2 or value.count("'") % 2):
        return f"the value of {key.strip()!r} has an unclosed quote"
    if line.strip() and not colon and not line.rstrip().endswith(":") and ":" in line:
        return "a colon without a space after it; write 'key: value'"
    return str(error.problem)


def _walk(node: yaml.Node, at: _Path, lines: dict[_Path, int], path: str) -> Iterator[Problem]:
    """Records the line of every key and finds duplicate keys (YAML would take the last)."""
    if isinstance(node, yaml.SequenceNode):
        for place, child in enumerate(node.value):
            yield from _walk(child, (*at, place), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if (*at, name) in lines:
                yield Problem(path, line, f"{name!r} appears twice (first on line {lines[*at, name]})")
            lines[*at, name] = line
            yield from _walk(child, (*at, name), lines, path)


def _tuples(value: Any) -> Any:  # noqa: ANN401  (whatever YAML holds)
    """The same data with its lists as the tuples that frozen models hold."""
    if isinstance(value, dict):
        return {key: _tuples(child) for key, child in value.items()}
    return tuple(_tuples(child) for child in value) if isinstance(value, list) else value


def _check_values(front: FrontMatter, lines: Mapping[_Path, int], path: str) -> Iterator[Problem]:
    if front.answer not in ANSWER_STYLES:
        known = ", ".join(ANSWER_STYLES)
        yield Problem(path, lines["answer",], f"unknown answer {front.answer!r}; known: {known}")
    if front.ranker != "generate" and front.task not in (None, "rank"):
        yield Problem(path, lines["ranker",], f"a ranker needs 'task: rank', and the task is {front.task!r}")
    if "ranker" in front.model_fields_set and (misfit := front.ranking.misfit(front.ranker)) is not None:
        yield Problem(path, lines.get(("ranking", misfit[0]), lines["ranker",]), f"{misfit[0]}: {misfit[1]}")
    yield from _check_pattern(front, lines, path)
    yield from _check_steps(front, lines, path)
    if front.images is not None and front.task is not None:
        variable = front.variables.get(front.images.of)
        if variable is None or variable.type != "items":
            yield Problem(
                path, lines["images",], f"images of {front.images.of!r}, which is no variable of type items"
            )
    for name, variable in front.variables.items():
        line = lines["variables", name]
        if variable.last is not None and (name != "history" or variable.type != "items"):
            yield Problem(path, line, f"'last' applies only to the history, not to {name!r}")
        if not name.isidentifier() or name.startswith("_"):
            yield Problem(path, line, f"{name!r} is not a valid variable name: use letters, digits and '_'")
        if variable.fields is not None and variable.type != "items":
            yield Problem(path, line, f"'fields' are columns of items, and {name!r} is of type {variable.type!r}")
        wanted = {"str": str, "int": int}.get(variable.type)
        if variable.default is None:
            continue
        if wanted is None:
            yield Problem(path, line, f"{name!r} is a list of items and cannot have a default")
        elif type(variable.default) is not wanted:
            yield Problem(path, line, f"the default of {name!r} is no {variable.type}: {variable.default!r}")


def _check_pattern(front: FrontMatter, lines: Mapping[_Path, int], path: str) -> Iterator[Problem]:
    if not front.pattern:
        return
    line = lines["pattern",]
    if front.task not in (None, "explain"):
        yield Problem(path, line, f"a pattern needs 'task: explain', and the task is {front.task!r}")
    if CITED not in front.pattern:
        yield Problem(path, line, f"the pattern lacks {CITED}, the placeholder for a title of the user's history")
    try:
        re.compile(front.pattern.replace(CITED, "(?:x)"))
    except re.error as error:
        yield Problem(path, line, f"the pattern is not a valid regular expression: {error}")


def _check_steps(front: FrontMatter, lines: Mapping[_Path, int], path: str) -> Iterator[Problem]:
    if len(front.steps) > MOST_STEPS:
        yield Problem(path, lines["steps",], f"{len(front.steps)} steps are more than {MOST_STEPS}")
    for name in front.steps:
        line = lines["steps", name]
        if not name.isidentifier() or name.startswith("_"):
            yield Problem(path, line, f"{name!r} is not a valid step name: use letters, digits and '_'")
        elif name in _TAKEN or name in front.variables:
            yield Problem(path, line, f"a step cannot be called {name!r}: that is the name of a variable")


def _explain(invalid: ValidationError, lines: Mapping[_Path, int], path: str) -> Iterator[Problem]:
    """Pydantic's findings in a template author's terms, with their lines."""
    for error in invalid.errors():
        at: _Path = tuple(error["loc"])
        while at and at not in lines:  # a missing key has the line of what it is missing from
            at = at[:-1]
        line = lines.get(at, 1)
        where = ".".join(str(part) for part in error["loc"])
        name, found = str(error["loc"][-1]), error["input"]
        if isinstance(found, int) and found.bit_length() > 64:
            found = "a number of more than 64 bits"
        match error["type"]:
            case "extra_forbidden":
                known = _known_keys(error["loc"])
                message = f"unknown key {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"
                if len(at) > 1 and name in FrontMatter.model_fields:
                    message = f"{name!r} belongs one level up, beside {str(at[-2])!r}"
                elif name in Sampling.model_fields and len(error["loc"]) == 1:
                    message = f"{name!r} belongs in 'sampling:'"
                elif name in Ranking.model_fields and len(error["loc"]) == 1:
                    message = f"{name!r} belongs in 'ranking:'"
            case "literal_error":
                known = tuple(error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", "))
                guess = did_you_mean(str(found), known)
                message = f"unknown {name} {found!r}{guess}; known: {', '.join(known)}"
            case "missing":
                message = f"{where.rpartition('.')[0] or 'the front matter'} has no {name!r}"
            case _:
                message = f"{where}: {_lower_first(error['msg'])}, found {found!r}"
        yield Problem(path, line, message)


def _known_keys(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    if len(loc) == 1:
        return tuple(FrontMatter.model_fields)
    if loc[0] == "ranking":
        return tuple(Ranking.model_fields)
    if loc[0] == "images":
        return tuple(Images.model_fields)
    if loc[0] == "steps" and len(loc) == 3:
        return tuple(StepOptions.model_fields)
    return tuple(Variable.model_fields if loc[0] == "variables" else Sampling.model_fields)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
