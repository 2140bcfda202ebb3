"""The Jinja environment that templates run in: no access to Python, bounded work, no silent gaps."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from zsrec.core.untrusted_text import inline
from zsrec.prompts.sanitize import short

_GLOBALS = ("dict", "namespace", "range")  # without `lipsum`, `cycler` and `joiner`: no prompt needs them
_UNDOES = "it can undo what makes titles harmless"
FILTERS_LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "format": "its result has no bound; write {{ a ~ b }}",
        "pprint": "it shows Python's view of data",
        "random": "the same prompt could not be rendered twice",
        "safe": "text is sent as it is, and nothing makes it safer",
        "striptags": _UNDOES,
        "urlize": "it is for HTML",
        "wordwrap": "a long title would begin new lines",
        "xmlattr": "it is for HTML",
    }
)
"""Filters of Jinja's that templates do not have, and why."""

_METHODS_LEFT_OUT = frozenset({"encode", "expandtabs", "striptags", "translate", "unescape"})
_UNBOUNDED_METHODS = frozenset({"center", "format", "format_map", "ljust", "rjust", "to_bytes", "zfill"})
_MOST_BITS = 4096  # of a whole number
_MOST_CHARACTERS = 10_000_000  # made by one rendering, intermediate results included
_MOST_SECONDS = 1.0  # on the clock, then the same of processor time
_MOST_STEPS = 10_000  # of a range


class _Budget(threading.local):
    """What the rendering in this thread may still use; without a bound outside a rendering."""

    characters: float = float("inf")
    deadline: float = float("inf")
    processor: float = float("inf")
    spent: int = 0


class _Generator(CodeGenerator):
    """Jinja's compiler with a charge at the start of every body of a loop or macro, and for every `~`."""

    def blockvisit(self, nodes: Any, frame: Frame) -> None:  # noqa: ANN401
        if not frame.soft_frame:  # a branch runs once
            self.writeline("environment.spend(1)")
        super().blockvisit(nodes, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  (Jinja's name)
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without side effects: data is read-only, private attributes are out of reach, gaps are errors.

    `trim_blocks` and `lstrip_blocks` are on, so a line that holds only a `{% … %}` leaves nothing behind.
    A value of None prints as nothing. Inside `bounded`, the text that a template makes and its processor time
    are limited: whatever could take more (loops, recursion, doubling, wide padding) raises `SecurityError`.
    """

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, sources: Mapping[str, tuple[str, str]] | None = None) -> None:
        gathered = {name: (body, path, None) for name, (body, path) in (sources or {}).items()}
        super().__init__(
            loader=FunctionLoader(lambda name: gathered.get(name.removesuffix(".j2"))),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            finalize=self._printed,
        )
        self._budget = _Budget()
        self.globals = {name: self.globals[name] for name in _GLOBALS} | {"range": _range}
        for name in FILTERS_LEFT_OUT:
            del self.filters[name]
        self.filters["inline"] = inline
        self.filters["short"] = short
        self.filters = {name: self._charged(name, filter_) for name, filter_ in self.filters.items()}

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Limits what the templates rendered inside may use, all of them together."""
        budget = self._budget
        budget.characters, budget.deadline = _MOST_CHARACTERS, time.monotonic() + _MOST_SECONDS
        try:
            yield
        finally:
            budget.characters = budget.deadline = budget.processor = float("inf")

    def spend(self, characters: int) -> None:
        """Charges for text that is made, and looks at the clock now and then."""
        budget = self._budget
        budget.characters -= characters
        budget.spent += 1
        if budget.characters < 0 or characters > _MOST_CHARACTERS:
            raise SecurityError(f"it makes more than {_MOST_CHARACTERS:,} characters")
        if not budget.spent & 31 and time.monotonic() > budget.deadline:
            used = time.thread_time()  # costs more to ask, and a busy machine is not the template's fault
            budget.processor = min(budget.processor, used + _MOST_SECONDS)
            if used >= budget.processor:
                raise SecurityError(f"it takes more than {_MOST_SECONDS:g} s")

    def joined(self, parts: tuple[object, ...]) -> str:
        """The operator `~`."""
        texts = list(map(str, parts))
        self.spend(sum(map(len, texts)))
        return "".join(texts)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
        """Also refuses methods that make control characters of a harmless text, or results of any size."""
        if attr in _METHODS_LEFT_OUT and isinstance(obj, str):
            return False
        if attr in _UNBOUNDED_METHODS and isinstance(obj, str | int | type):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Refuses operators whose results have no bound, and charges for those of `+`."""
        if operator == "**":
            raise SecurityError("the operator '**' makes numbers without end")
        if operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            self.spend(len(left) + len(right))
        elif operator != "+" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"the operator {operator!r} is for numbers only in a template")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > _MOST_BITS:
            raise SecurityError(f"a number of more than {_MOST_BITS} bits")
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, N805
        """Calls a method or macro and charges for its result, before it is made where it can be large."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            __self._charge_text(__obj.__name__, owner, args)
        result = super().call(__context, __obj, *args, **kwargs)
        __self.spend(len(result) if isinstance(result, _SIZED) else 1)
        return result

    def _charge_text(self, name: str, text: str, arguments: tuple[Any, ...]) -> None:
        """Charges beforehand for methods and filters whose result can be far longer than the text."""
        if name == "replace" and len(arguments) > 1:
            old, new = map(str, arguments[:2])
            self.spend(text.count(old) * len(new))
        elif name == "join" and arguments and isinstance(arguments[0], Sized):
            self.spend(len(arguments[0]) * len(text))

    def _charged(self, name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that is charged for."""
        own = 1 if hasattr(filter_, "jinja_pass_arg") else 0  # the environment or context comes first

        @functools.wraps(filter_)
        def charged(*given: Any, **options: Any) -> Any:  # noqa: ANN401
            value, arguments = given[own], given[own + 1 :]
            if name == "replace":
                self._charge_text(name, str(value), arguments)
            elif name == "join":
                separator = str(options.get("d", arguments[0] if arguments else ""))
                value = value if isinstance(value, Sized) else list(value)
                self._charge_text(name, separator, (value,))
            elif name in _WIDTHS:
                lines = value.count("\n") + 1 if isinstance(value, str) else 1
                for width in (*arguments, *options.values()):
                    self.spend(lines * (len(width) if isinstance(width, str) else abs(int(width or 0))))
            result = filter_(*given[:own], value, *arguments, **options)
            self.spend(len(result) if isinstance(result, _SIZED) else 1)
            return result

        return charged

    def _printed(self, value: object) -> object:
        """What `{{ value }}` prints: None as nothing; charged for."""
        if value is None:
            return ""
        self.spend(len(value) if isinstance(value, str) else 1)
        return value


_SIZED = (str, list, tuple, dict)  # not an undefined value, which has a length too, and raises
_WIDTHS = frozenset({"batch", "center", "indent", "slice", "tojson"})  # their arguments are lengths


def _range(*bounds: int) -> range:
    """Python's `range`, of at most 10,000 steps."""
    steps = range(*bounds)
    if len(steps) > _MOST_STEPS:
        raise SecurityError(f"a range of more than {_MOST_STEPS:,} steps")
    return steps
