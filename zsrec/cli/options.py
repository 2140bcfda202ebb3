"""Command-line options that several commands share, each declared once, and how their texts are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from zsrec.cli.console import err, print_line
from zsrec.core.errors import BadValueError, ConfigError, MissingColumnError
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.readers import Columns, read_histories
from zsrec.data.tables import SUFFIXES
from zsrec.evaluation.llm_methods import NAMED
from zsrec.evaluation.protocols import PROTOCOLS
from zsrec.prompts import Library
from zsrec.recommender.loader import USUAL_IDS, Sources, Tables
from zsrec.recommender.request import MOST_K, Fill
from zsrec.retrieval.base import Retriever
from zsrec.retrieval.by_name import ALL as WITHOUT_LLM
from zsrec.retrieval.by_name import NAMES as RETRIEVERS

ALL_METHODS = (*WITHOUT_LLM, *NAMED)
"""The names that `--methods` takes."""

ID_NAMES = f"{', '.join(USUAL_IDS[:-1])} or {USUAL_IDS[-1]}"
CATALOG, USER, MODEL, SERVICE = "Catalog", "User", "Model and prompt", "Service"
METHODS, PROTOCOL, OUTPUT = "Methods", "Protocol", "Output"


def option(text: str, *names: str, panel: str | None = None, env: str | None = None, **further: Any) -> Any:  # noqa: ANN401
    """A typer option with a help text; `env` is the environment variable that is read in its absence."""
    text = text if env is None else f"{text} [env: {env}]"
    return typer.Option(*names, help=text, rich_help_panel=panel, **further)


def completing(values: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Shell completion from a list of values, which is made only when it is asked for."""
    return lambda incomplete: [value for value in values() if value.startswith(incomplete)]


def template_names() -> list[str]:
    """The names of all templates that can be found without `--prompts`."""
    return [entry.name for entry in Library().entries() if entry.shadowed_by is None]


def accepting(old_names: Mapping[str, str]) -> type[TyperCommand]:
    """A kind of command that still takes old option names, with a warning on standard error.

    An option that became two takes its two values with a comma between: "--item-columns": "--id --title".
    """

    class Accepting(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  (typer's own context)
            given = iter(args)
            return super().parse_args(ctx, [part for one in given for part in self._current(one, given)])

        @staticmethod
        def _current(argument: str, following: Iterator[str]) -> list[str]:
            name, equals, value = argument.partition("=")
            if name not in old_names:
                return [argument]
            new = old_names[name].split()
            warning = (
                f"warning: {name} is now {' and '.join(new)}; the old name will be removed in the next version"
            )
            print_line(warning, "yellow", error=True)
            if len(new) == 1:
                return [f"{new[0]}{equals}{value}"]
            values = two_columns(value if equals else next(following, ""), name)
            return [part for pair in zip(new, values, strict=True) for part in pair]

    return Accepting


def examples(*commands: str) -> str:
    """Examples for the end of a command's help."""
    return "\n\n".join(["Examples:", *(f"- `{command}`" for command in commands)])


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer: each parameter that is a dataclass of options becomes these options."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for name, one in inspect.signature(command, eval_str=True).parameters.items():
        if not is_dataclass(one.annotation):
            parameters.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[name], hints = one.annotation, get_type_hints(one.annotation, include_extras=True)
        parameters += [
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if each.default is MISSING else each.default,
                annotation=hints[each.name],
            )
            for each in fields(one.annotation)
        ]

    @wraps(command)
    def expanded(**given: Any) -> None:  # noqa: ANN401
        made = {
            name: kind(**{one.name: given.pop(one.name) for one in fields(kind)}) for name, kind in groups.items()
        }
        command(**made, **given)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {one.name: one.annotation for one in parameters}
    return expanded


CatalogFile = Annotated[Path, option("The catalog: CSV, TSV, JSONL or Parquet.", panel=CATALOG)]
Domain = Annotated[
    str | None, option("What the items are, in the plural, such as books; by default items.", panel=CATALOG)
]


@dataclass(frozen=True)
class CatalogOptions:
    """`--catalog` and how to read it; the format of text is that of every table that the command reads."""

    catalog: Annotated[
        Path | None,
        option("Your items: CSV, TSV, JSONL or Parquet; by default the MovieLens sample.", panel=CATALOG),
    ] = None
    id_column: Annotated[
        str | None,
        option(f"The catalog's id column; by default {ID_NAMES}, whichever it has.", "--id", panel=CATALOG),
    ] = None
    title_column: Annotated[str, option("The catalog's title column.", "--title", panel=CATALOG)] = "title"
    creator: Annotated[
        str | None, option("The catalog's column of authors, artists or makers, for matching.", panel=CATALOG)
    ] = None
    aliases: Annotated[
        str | None, option('The catalog\'s column of other titles, separated by "|".', panel=CATALOG)
    ] = None
    domain: Domain = None
    delimiter: Annotated[
        str | None,
        option("What separates the fields of CSV tables, such as ';'; by default the suffix decides.",
               panel=CATALOG),
    ] = None  # fmt: skip
    encoding: Annotated[str, option("The encoding of tables that are text.", panel=CATALOG)] = "utf-8"

    @property
    def text(self) -> dict[str, Any]:
        """The format of text tables, as arguments of their readers."""
        delimiter = "\t" if self.delimiter == r"\t" else self.delimiter
        return {"encoding": self.encoding, "delimiter": delimiter}

    def sources(self, **more: Any) -> Sources:  # noqa: ANN401
        """What a recommender is made from: the catalog, and what further arguments name."""
        return Sources(
            catalog=self.catalog,
            id=self.id_column,
            title=self.title_column,
            creator=self.creator,
            aliases=self.aliases,
            domain=self.domain or "items",
            **self.text,
            **more,
        )

    def open(self) -> Catalog:
        """The caller's catalog, or the MovieLens sample."""
        return self.sources().read_catalog()


@dataclass(frozen=True)
class RequiredCatalog(CatalogOptions):
    """A catalog without which there is nothing to do."""

    catalog: CatalogFile = field()


@contextmanager
def named_by(option: str, path: Path | None) -> Iterator[None]:
    """An error on a column that lacks in this file names this option, such as "--target-columns"."""
    try:
        yield
    except MissingColumnError as error:
        if error.path == str(path):
            error.argument = option.removeprefix("--")
        raise


COLUMNS = "userId,movieId,timestamp,rating"
Interactions = Annotated[
    Path | None, option("Other users' interactions, a table.", "--interactions", panel=CATALOG)
]
InteractionColumns = Annotated[str, option("Its columns: user,item,time,rating.", "--columns", panel=CATALOG)]


@dataclass(frozen=True)
class UserOptions:
    """Whom to recommend for, apart from their own words."""

    history: Annotated[str, option("Titles or ids, oldest first, with ';' between; or a file.", panel=USER)] = ""
    user: Annotated[str | None, option("One user of the history file; by default all.", panel=USER)] = None
    liked: Annotated[str, option("Titles or ids that the user liked, separated by ';'.", panel=USER)] = ""
    disliked: Annotated[str, option("Titles or ids that the user disliked.", panel=USER)] = ""
    about: Annotated[str | None, option("What the user wants, in words.", panel=USER)] = None
    columns: Annotated[str, option("The interactions file's columns: user,item,time,rating.", panel=USER)] = (
        COLUMNS
    )

    @property
    def from_file(self) -> bool:
        """Whether `--history` is an interactions file."""
        return Path(self.history).suffix.lower() in SUFFIXES

    def read(
        self,
        errors: dict[str, BadValueError] | None = None,
        *,
        encoding: str = "utf-8",
        delimiter: str | None = None,
    ) -> tuple[dict[str, History], dict[str, History]]:
        """The histories of the users asked for, and those of everybody in the file (for popularity).

        `errors` is filled with the error of each of these users who has a bad value in the file.
        """
        everybody: dict[str, History] = {}
        if self.from_file:
            everybody = read_histories(
                self.history,
                columns=columns_of(self.columns),
                liked_from=movielens.LIKED_FROM,
                disliked_to=movielens.DISLIKED_TO,
                encoding=encoding,
                delimiter=delimiter,
                errors=errors,
            )
            if errors is not None and self.user in errors:
                raise errors[self.user]
            users = everybody if self.user is None else {self.user: everybody.get(self.user, History())}
            if self.user is not None and self.user not in everybody:
                raise ConfigError(
                    f"no user {self.user!r} among the {len(everybody):,} users of {self.history}",
                    hint="check --user and --columns",
                )
        elif self.user is not None:
            raise ConfigError("--user needs an interactions file", hint="give the file with --history")
        else:
            users = {"": History.of(*titles(self.history))}
        judged = {
            name: one.like(*titles(self.liked)).dislike(*titles(self.disliked)) for name, one in users.items()
        }
        return judged, everybody


BaseUrl = Annotated[str | None, option("The model server's address, with /v1.", panel=MODEL, env="ZSREC_BASE_URL")]
ModelName = Annotated[str | None, option("The served model's name.", "--model", panel=MODEL, env="ZSREC_MODEL")]
TemplateName = Annotated[
    str | None,
    option(
        "A template's name or path.",
        "--template",
        panel=MODEL,
        env="ZSREC_TEMPLATE",
        autocompletion=completing(template_names),
    ),
]
TemplateArgument = Annotated[
    str,
    typer.Argument(
        help="A template's name or path.", metavar="TEMPLATE", autocompletion=completing(template_names)
    ),
]
PromptsFolder = Annotated[
    Path | None,
    option("A folder of your own templates, searched first.", "--prompts", panel=MODEL, env="ZSREC_PROMPTS"),
]
PromptsFolders = Annotated[
    list[Path] | None,
    option(
        "A folder of your own templates, searched first; repeatable.",
        "--prompts",
        panel=MODEL,
        env="ZSREC_PROMPTS",
    ),
]
HowMany = Annotated[int, option("How many items per user.", "-k", "--k", panel=MODEL, min=1, max=MOST_K)]
_RETRIEVER = option(
    f"What chooses candidates for ranking templates: {', '.join(RETRIEVERS)}.",
    "--retriever",
    panel=MODEL,
    autocompletion=completing(lambda: RETRIEVERS),
)
RetrieverName = Annotated[str | None, _RETRIEVER]
RequiredRetriever = Annotated[str, _RETRIEVER]
Where = Annotated[
    list[str] | None,
    option('Only items that meet a condition, such as "year >= 2010"; repeatable.', "--where", panel=MODEL),
]
Diversity = Annotated[
    float | None,
    option(
        "Order candidates for diversity of genres (MMR): 1 keeps the retriever's order.",
        "--diversity",
        panel=MODEL,
        min=0,
        max=1,
    ),
]
PoolSize = Annotated[int, option("How many candidates a prompt shows.", "--pool", panel=MODEL, min=1)]
Candidates = Annotated[str, option("Titles or ids to choose from, separated by ';'.", "--candidates", panel=MODEL)]
FillFrom = Annotated[Fill | None, option("Fill a short list from this source.", "--fill", panel=MODEL)]
Host = Annotated[str, option("The address to listen on.", "--host", panel=SERVICE)]
Port = Annotated[int, option("The port; 0 takes a free one.", "--port", panel=SERVICE, min=0, max=65535)]
JsonToStdout = Annotated[bool, option("Print one JSON document.", "--json", panel=OUTPUT)]


ProtocolName = Annotated[
    str,
    option(
        f"One of {', '.join(PROTOCOLS)}.",
        "--protocol",
        panel=PROTOCOL,
        autocompletion=completing(lambda: PROTOCOLS),
    ),
]
ShownEvents = Annotated[
    int | None, option("cold-users: events that are shown per user.", "--events", panel=PROTOCOL, min=0)
]
SplitTime = Annotated[
    datetime | None,
    option(
        "time-split, cold-items: the time of the split (UTC); by default 80% of the events are before.",
        "--at",
        panel=PROTOCOL,
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
    ),
]
EventColumns = Annotated[str, option("The interactions' columns: user,item,time.", "--columns", panel=CATALOG)]
Seed = Annotated[int, option("Seed of subsets, tie orders, intervals and tests.", "--seed", panel=PROTOCOL)]


def _in_folder(path: Path | None) -> Path | None:
    """A report's file, refused before anything is measured if its folder is not there."""
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no such folder", hint="check --json")
    return path


ReportFile = Annotated[
    Path | None, option("Write the whole report to this file.", "--json", panel=OUTPUT, callback=_in_folder)
]
PriceIn = Annotated[float | None, option("Price of a million prompt tokens.", panel=OUTPUT, min=0)]
PriceOut = Annotated[float | None, option("Price of a million answer tokens.", panel=OUTPUT, min=0)]
OnlyMethods = Annotated[str, option("Only these methods, separated by commas.", "--methods")]
Against = Annotated[str | None, option("Compare all others with this one only: fewer tests.", "--against")]
SetsFolder = Annotated[Path | None, option("The folder for downloads; by default zsrec's cache.", "--to")]


Replies = Annotated[
    list[str] | None,
    option("Recorded replies, NAME=FILE, instead of a server; repeatable.", "--replies", panel=MODEL),
]
RequestsOnly = Annotated[
    Path | None,
    option("Only write what no reply answers, as batch requests, to this folder.", "--requests-only", panel=MODEL),
]


def comma_separated(text: str) -> list[str]:
    """The names in a text, separated by commas; empty ones are left out."""
    return [name.strip() for name in text.split(",") if name.strip()]


def cut_offs(text: str) -> list[int]:
    """The cut-offs in a text, separated by commas.

    Raises:
        ConfigError: One is no whole number of at least 1.
    """
    try:
        found = [int(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1 or max(found) > MOST_K:
        raise ConfigError(f"--k is {text!r}", hint=f"whole numbers from 1 to {MOST_K:,}, for example 10 or 5,10")
    return list(dict.fromkeys(found))


def titles(text: str) -> list[str]:
    """The titles or ids in a text, separated by ";"."""
    return [part.strip() for part in text.split(";") if part.strip()]


def columns_of(text: str, *, rating: bool = True) -> Columns:
    """The columns that `--columns` names, without the rating's unless it is wanted."""
    names = [name.strip() or None for name in text.split(",")]
    user, item, time, rated, *more = (*names, None, None, None)
    if user is None or item is None or any(more):
        raise ConfigError(
            f"--columns is {text!r}, expected user,item,time,rating", hint="leave time or rating empty if absent"
        )
    return Columns(user=user, item=item, time=time, rating=rated if rating else None)


def two_columns(text: str, option_name: str) -> tuple[str, str]:
    """The first two column names in a text, separated by commas."""
    first, second, *_ = (*(name.strip() for name in text.split(",")), "", "")
    if not first or not second:
        raise ConfigError(f"{option_name} is {text!r}, expected two column names", hint="for example item,title")
    return first, second


def template_target(name: str) -> str | Path:
    """A template as `Library.load` takes it: a name, or a path if there is such a file or it ends in ".j2"."""
    path = Path(name)
    return path if path.suffix == ".j2" or path.is_file() else name


def read_tables(sources: Sources, histories: Mapping[str, History] | None = None) -> Tables:
    """What `Sources.read` reads; notes on left-out rows go to standard error."""
    tables = sources.read(histories)
    for note in tables.notes:
        print_line(note, error=True)
    return tables


def prepare_retriever(sources: Sources, tables: Tables) -> Retriever | None:
    """What `Sources.make_retriever` makes, with a line on the terminal while that takes its time."""
    with err.status(f"preparing {sources.retriever}"):
        return sources.make_retriever(tables)
