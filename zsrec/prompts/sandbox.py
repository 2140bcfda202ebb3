"""The Jinja environment that templates run in: no access to Python, no huge results, no silent gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined
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
_MAX_WIDTH = 10_000


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without side effects: data is read-only, private attributes are out of reach, gaps are errors.

    `trim_blocks` and `lstrip_blocks` are on, so a line that holds only a `{% … %}` leaves nothing behind.
    A value of None prints as nothing.

    Args:
        sources: Name → (body, path) of the templates that `include` and `import` can reach, and nothing else.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, sources: Mapping[str, tuple[str, str]] | None = None) -> None:
        gathered = {name: (body, path, None) for name, (body, path) in (sources or {}).items()}
        super().__init__(
            loader=FunctionLoader(lambda name: gathered.get(name.removesuffix(".j2"))),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            finalize=_blank_none,
        )
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        for name in FILTERS_LEFT_OUT:
            del self.filters[name]
        self.filters["inline"] = inline
        self.filters["short"] = short
        self.filters["center"] = _bounded(self.filters["center"])
        self.filters["indent"] = _bounded(self.filters["indent"])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
        """Also refuses the methods that make something else of a harmless text, such as control characters."""
        if isinstance(obj, str) and attr in _METHODS_LEFT_OUT:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Refuses the operators that make gigabytes of a few characters."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**":
            raise SecurityError("the operator '**' makes numbers without end")
        if not numbers:
            raise SecurityError(f"the operator {operator!r} is for numbers only in a template")
        return super().call_binop(context, operator, left, right)


def _blank_none(value: object) -> object:
    return "" if value is None else value


def _bounded(filter_: Callable[..., str]) -> Callable[..., str]:
    def bounded(text: str, width: int | str = 80, *args: Any, **options: Any) -> str:  # noqa: ANN401
        if isinstance(width, int) and width > _MAX_WIDTH:
            raise SecurityError(f"a width of {width} is more than {_MAX_WIDTH}")
        return filter_(text, width, *args, **options)

    return bounded
