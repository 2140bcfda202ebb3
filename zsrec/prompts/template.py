"""A template that renders into chat messages."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import jinja2
from jinja2.exceptions import SecurityError

from zsrec.core.errors import TemplateError
from zsrec.core.types import Item, Message, Sampling, TemplateRef
from zsrec.core.untrusted_text import TEXT_LIMIT, break_tokens, control_tokens, inline
from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle, Unit
from zsrec.prompts.diagnostics import did_you_mean, unanswered
from zsrec.prompts.front_matter import Images, Ranker, Ranking, StepOptions, Task, Variable
from zsrec.prompts.item_view import FIELDS, ItemView, TurnView, item_view, title_view
from zsrec.prompts.sandbox import Sandbox

_Role = Literal["system", "user"]
Items = Sequence[ItemView | Item | str]
Turns = Sequence[TurnView | tuple[str, str]]
_MAX_CHARACTERS = 1_000_000


class Template:
    """A prompt template: task, sampling, answer format, and the text of its roles.

    Made by `load_template` or `Library.load`; immutable, and safe to share between threads.

    Attributes:
        task: "generate", "rank", "compare", "explain" or "profile".
        answer: The name of the parser of the model's answer.
        side: Which side of "watched - candidate" pairs is recommended; None where answers hold no pairs.
        ranker: How candidates are ranked.
        ranking: The ranker's options.
        pattern: Constrains the answer; see `FrontMatter.pattern`.
        sampling: Every sampling field.
        images: Whose pictures are sent with the prompt; see `zsrec.prompts.front_matter.Images`.
        steps: The questions asked before the final one, by name, in order.
        variables: The declared variables by name.
        description: One line about it.
        ref: Name, version, path and hash, for traces.
    """

    def __init__(self, bundle: Bundle) -> None:
        front = bundle.front
        self.bundle = bundle
        self.task = cast("Task", front.task)
        self.answer = front.answer
        self.side: Literal["left", "right"] | None = front.side
        self.ranker: Ranker = front.ranker
        self.ranking: Ranking = front.ranking
        self.pattern = front.pattern
        self.sampling: Sampling = front.sampling
        self.images: Images | None = front.images
        self.steps: Mapping[str, StepOptions] = front.steps
        self.variables: Mapping[str, Variable] = front.variables
        self.description = front.description
        main = bundle.main
        self.ref = TemplateRef(name=main.name, version=front.version, path=main.path, sha256=bundle.sha256())
        parts = {name: (unit.source.body, unit.source.path) for name, unit in bundle.parts.items()}
        self._sandbox = Sandbox(parts)
        self._chain = tuple(self._compile(unit.source.body, unit) for unit in bundle.chain)
        texts = [text for tree in bundle.trees for text, _ in syntax.literals(tree)]
        self._texts = tuple(texts)
        self._own_tokens = frozenset(token.text for text in texts for token in control_tokens(text))
        # Macros and assignments outside blocks, from the root of the chain down so that the nearest one wins.
        self._definitions = tuple(
            self._compile(syntax.definitions(unit.tree), unit) for unit in reversed(bundle.chain) if unit.tree
        )

    def __repr__(self) -> str:
        return f"Template({str(self.ref)!r}, task={self.task!r}, path={self.ref.path!r})"

    def step_sampling(self, step: str) -> Sampling:
        """The sampling of an earlier step: the template's with what the step says in its place."""
        return self.bundle.front.step_sampling(step)

    def render(
        self,
        step: str | None = None,
        /,
        *,
        history: Items = (),
        candidates: Items = (),
        k: int = 10,
        about: str | None = None,
        domain: str | None = None,
        **further: str | int | Items | Turns,
    ) -> tuple[Message, ...]:
        """The messages to send.

        A template with steps is rendered one step at a time, with the answers so far given by the steps' names.
        Where no answer is given, as for a preview, the placeholder "[the answer of …]" is used, and the earlier
        steps are rendered too, so that their errors are found.

        Every text in every variable is made harmless first (`zsrec.core.untrusted_text`). A role whose block
        renders to nothing is left out; white space around each message is removed. A control token that the
        template puts together from data all the same is broken, whatever the template did.

        Args:
            step: One of `steps`; None for the template's own question, which comes last.
            history: The user's items, oldest first.
            candidates: The items to choose from.
            k: How many items to ask for.
            about: What the user says they want, in their own words.
            domain: What the items are, in the plural. None takes the template's default.
            further: Values of other variables that the template declares, and answers of earlier steps.

        Raises:
            TemplateError: A variable has no value or one of the wrong type, or the template fails on these
                values; with file and line.
        """
        given = {"history": history, "candidates": candidates, "k": k, "about": about or "", "domain": domain}
        if step is None and not any(name in further for name in self.steps):
            for name in self.steps:
                self._messages(name, given, further)
        return self._messages(step, given, further)

    def raw(self, **values: Any) -> tuple[str, ...]:  # noqa: ANN401
        """The text of every role of every step before `render` breaks control tokens.

        Args:
            values: What `render` takes, without `step`.

        Raises:
            TemplateError: As for `render`.
        """
        given = {"history": (), "candidates": (), "k": 10, "about": "", **values}
        further = {name: given.pop(name) for name in values if name not in _GIVEN}
        return tuple(
            content for step in (*self.steps, None) for _, content in self._contents(step, given, further)
        )

    def without_tokens(self, messages: tuple[Message, ...], tokens: Iterable[str]) -> tuple[Message, ...]:
        """Rendered messages with a server's own control tokens broken too, but for those that the author wrote."""
        further = [token for token in tokens if not any(token in text for text in self._texts)]
        if not further:
            return messages

        def broken(text: str) -> str:
            return break_tokens(text, self._own_tokens, further)

        return tuple(
            Message(
                role=one.role,
                content=broken(one.content),
                images=tuple(image.model_copy(update={"caption": broken(image.caption)}) for image in one.images),
            )
            for one in messages
        )

    def forged_tokens(self, raw: tuple[str, ...]) -> tuple[str, ...]:
        """Control tokens in `raw` texts that the author did not write and that `render` breaks."""
        found = (token.text for content in raw for token in control_tokens(content))
        return tuple(text for text in found if text not in self._own_tokens)

    def _messages(
        self, step: str | None, given: Mapping[str, Any], further: Mapping[str, Any]
    ) -> tuple[Message, ...]:
        messages = tuple(
            Message(role=role, content=break_tokens(content, self._own_tokens))
            for role, content in self._contents(step, given, further)
        )
        if not any(message.role == "user" for message in messages):
            block = _block("user", step)
            raise TemplateError(f"the block {block!r} rendered to nothing for these values", path=self.ref.path)
        return messages

    def _contents(
        self, step: str | None, given: Mapping[str, Any], further: Mapping[str, Any]
    ) -> list[tuple[_Role, str]]:
        """The non-empty roles with their text."""
        context = self._chain[0].new_context(self._values(given, further) | self._answers(step, further))
        for parent in self._chain[1:]:
            for name, block in parent.blocks.items():
                context.blocks.setdefault(name, []).append(block)
        try:
            with self._sandbox.bounded():
                for definitions in self._definitions:
                    for _ in definitions.root_render_func(context):
                        pass
                return [
                    (cast("_Role", role), content)
                    for role in syntax.ROLES
                    if (name := _block(role, step)) in context.blocks and (content := self._role(context, name))
                ]
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError,
                RecursionError) as error:  # fmt: skip  # what a template's own expressions can raise
            raise self._explain(error) from None

    def _compile(self, body: str | jinja2.nodes.Template, unit: Unit) -> jinja2.Template:
        path = unit.source.path
        try:
            with self._sandbox.bounded():  # the compiler evaluates what is constant
                code = self._sandbox.compile(body, unit.source.name, path)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(error.message or "broken syntax", path=path, line=error.lineno) from None
        return jinja2.Template.from_code(self._sandbox, code, self._sandbox.make_globals(None))

    def _role(self, context: jinja2.runtime.Context, block: str) -> str:
        pieces: list[str] = []
        length = 0
        for piece in context.blocks[block][0](context):
            length += len(piece)
            if length > _MAX_CHARACTERS:
                raise TemplateError(
                    f"the block {block!r} renders to more than {_MAX_CHARACTERS} characters", path=self.ref.path
                )
            pieces.append(piece)
        return "".join(pieces).strip()

    def _values(self, given: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
        """The declared variables with their sanitised values."""
        for name in further:
            if name not in self.variables and name not in self.steps:
                raise TemplateError(
                    f"there is no variable {name!r}{did_you_mean(name, self.variables)}", path=self.ref.path
                )
        values: dict[str, Any] = {}
        for name, variable in self.variables.items():
            value = {**given, **further}.get(name)
            if value is None:
                value = variable.default if variable.default is not None else _FALLBACKS.get(name)
            if value is None:
                raise TemplateError(f"variable {name!r} needs a value", path=self.ref.path)
            values[name] = self._typed(name, variable, value)
        return values

    def _answers(self, step: str | None, given: Mapping[str, Any]) -> dict[str, str]:
        """The answers of the steps before `step`, sanitised: a model's text is as untrusted as a title."""
        if step is not None and step not in self.steps:
            raise TemplateError(f"there is no step {step!r}{did_you_mean(step, self.steps)}", path=self.ref.path)
        names = list(self.steps)
        before = names if step is None else names[: names.index(step)]
        return {name: inline(given.get(name, unanswered(name)), self.steps[name].limit) for name in before}

    def _typed(self, name: str, variable: Variable, value: object) -> object:
        match variable.type, value:
            case "str", str():
                return inline(value, TEXT_LIMIT)
            case "int", int() if not isinstance(value, bool):
                return value
            case "items", Sequence() if not isinstance(value, str):
                return tuple(_view(item) for item in value)
            case "turns", Sequence() if not isinstance(value, str):
                return tuple(self._turn(name, turn) for turn in value)
        raise TemplateError(
            f"variable {name!r} is of type {variable.type!r} and got {type(value).__name__!r}", path=self.ref.path
        )

    def _turn(self, name: str, turn: object) -> TurnView:
        if isinstance(turn, TurnView):
            return turn
        try:
            role, text = cast("tuple[str, str]", turn)
            return TurnView(role, text)
        except (TypeError, ValueError) as error:
            raise TemplateError(
                f"variable {name!r}: not a turn (role, text): {error}", path=self.ref.path
            ) from None

    def _explain(self, error: Exception) -> TemplateError:
        """The error with the template's file and line."""
        path, line = self.ref.path, None
        for frame, number in traceback.walk_tb(error.__traceback__):
            template = frame.f_globals.get("__jinja_template__")
            if template is not None:
                path, line = template.filename, template.get_corresponding_lineno(number)
        message = str(error).replace(f"'{ItemView.__module__}.{ItemView.__name__} object'", "an item")
        message = message.replace("'jinja2.runtime.StrictUndefined object'", "an undefined value")
        if isinstance(error, RecursionError):
            message = "a macro or include calls itself endlessly"
        elif isinstance(error, SecurityError):
            message = f"not allowed in a template: {message.rstrip('.')}"
        elif isinstance(error, jinja2.UndefinedError) and message.startswith("an item has no attribute"):
            name = message.rsplit("'", 2)[-2]
            message = f"{message}{did_you_mean(name, FIELDS)}"
            return TemplateError(
                message, path=path, line=line, hint=f'write item.{name}|default("") if some items do not have it'
            )
        return TemplateError(message, path=path, line=line)


_GIVEN = frozenset({"history", "candidates", "k", "about", "domain"})
_FALLBACKS: Mapping[str, str | int | tuple[()]] = {"domain": "items", "shown": (), "conversation": ()}


def _block(role: str, step: str | None) -> str:
    """The name of the block that a step's role is rendered from."""
    return role if step is None else f"{step}_{role}"


def _view(item: ItemView | Item | str) -> ItemView:
    if isinstance(item, ItemView):
        return item
    return item_view(item) if isinstance(item, Item) else title_view(item)
