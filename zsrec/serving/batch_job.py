"""A batch job: its folder, configuration, chunks, engine and summary.

::

    OUT/part-*.parquet        the output; readers of a folder of Parquet files skip names that start with "_"
    OUT/_zsrec/config.json    the configuration; a job with another one is refused
    OUT/_zsrec/input.json     what was read; written when all chunks are
    OUT/_zsrec/work/          chunks under way (`zsrec.serving.batch_chunks`); removed when the job is done
    OUT/_zsrec/summary.json   the summary; written when the job is done
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from zsrec.core.checksums import REPAIR
from zsrec.core.errors import ConfigError, DamagedError
from zsrec.core.files import sha256
from zsrec.core.resumable_folder import CONFIG
from zsrec.recommender.loader import Recipe
from zsrec.recommender.strategy import CONVERSATION_TEMPLATE
from zsrec.serving.batch_chunks import Files, unfinished, write_chunk
from zsrec.serving.batch_folder import INPUT, SUMMARY, BatchFolder
from zsrec.serving.batch_input import Counts, read_parts
from zsrec.serving.batch_rows import arrow
from zsrec.serving.batch_worker import Batch, OnDone, OnNote, Work

_FORMAT = 2
_EVENTS = ("history_given", "history_unknown")


@dataclass(frozen=True)
class Summary:
    """The summary of a job.

    Attributes:
        users: Users in the output, each once.
        rows: Rows of the output.
        errors: Users without items because of an error, by its code.
        degraded: Users whose items are in retrieval order, by the reason.
        short: Users without an error who got fewer items than asked for.
        empty: Those of them who got none.
        unmatched: Titles in the answers that match no item, or several.
        dropped: Titles that were left out: known to the user, repeated, no candidate or beyond k.
        unknown_histories: Users none of whose events is in the catalog.
        requests: Answered requests behind the output.
        prompt_tokens: Over all of them, where the server says.
        completion_tokens: Likewise.
        cached_tokens: Likewise.
        input: What was read and skipped.
    """

    users: int
    rows: int
    errors: dict[str, int]
    degraded: dict[str, int]
    short: int
    empty: int
    unmatched: int
    dropped: int
    unknown_histories: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    input: dict[str, Any]


def run_batch(
    batch: Batch,
    out: str | Path,
    *,
    engine: Literal["local", "ray"] = "local",
    workers: int = 1,
    address: str | None = None,
    concurrency: int | None = None,
    on_read: OnDone = lambda _: None,
    on_done: OnDone = lambda _: None,
    on_note: OnNote = lambda _: None,
) -> Summary | None:
    """Run a job, or resume one that was ended in any way; a finished job is only summarised again.

    Args:
        batch: What to do. A job can be resumed with the same one only; servers, engine and concurrency may change.
        out: The output's folder, on a disk that all workers share.
        engine: "local" is this process; "ray" is Ray Data, with workers on one machine or many.
        workers: Ray's workers, one processor each.
        address: A Ray cluster's address; None starts Ray on this machine.
        concurrency: Users under way at once per worker; the settings' by default.
        on_read: Called with the number of users of the job.
        on_done: Called with a number of further users that are done.
        on_note: Called with sentences on what was read and skipped.

    Returns:
        The summary; None where users still wait for replies to their requests (`Batch.offline`).

    Raises:
        ConfigError: Something does not fit, or the folder holds another job; the message names the field.
        DataError: A file cannot be read.
        TemplateError: The template is wrong.
        LLMError: The server is absent or serves another model.
        BatchStoppedError: The server failed for many users in a row.
        MissingExtraError: pyarrow, or Ray for its engine, is not installed.
    """
    arrow()
    if engine == "local" and (workers != 1 or address is not None):
        raise ConfigError("--workers and --address are Ray's", hint="add --engine ray")
    if engine == "ray" and batch.offline is not None:
        raise ConfigError("recorded replies and request files go with the local engine", hint="leave --engine out")
    if engine == "ray":
        from zsrec.serving.batch_ray import check_ray

        check_ray()
    batch.recipe.check()
    template = batch.recipe.loaded_template()
    if batch.source.conversation is not None and "conversation" not in template.variables:
        raise ConfigError(
            f"the template {template.ref} leaves out conversations", hint=f"--template {CONVERSATION_TEMPLATE}"
        )
    out = Path(out).absolute()
    folder = BatchFolder(out)
    files = folder.files
    if not (folder.path / CONFIG).exists() and out.is_dir() and any(one.name != "_zsrec" for one in out.iterdir()):
        raise ConfigError(f"{out} holds files of something else", hint="take a new folder for --out")
    with folder.locked():
        folder.start(_config(batch, folder))
        work = Work(out, batch, concurrency or batch.recipe.settings.concurrency)
        folder.check_parts()
        read = folder.read_json(INPUT) if (folder.path / INPUT).exists() else None
        if read is None or not folder.has_chunks(unfinished(files, read["chunks"])):
            read = _prepare(batch, folder, files)
        for note in (*folder.notes, *Counts(**read["counts"]).notes):
            on_note(note)
        on_read(read["counts"]["users"])
        left = unfinished(files, read["chunks"])
        on_done(min(read["counts"]["users"], (read["chunks"] - len(left)) * batch.chunk))
        if left and engine == "local":
            asyncio.run(work.run(left, on_done, on_note))
        elif left:
            from zsrec.serving.batch_ray import run_on_ray

            run_on_ray(work, left, workers=workers, address=address, on_done=on_done, on_note=on_note)
        if batch.offline is not None and unfinished(files, read["chunks"]):
            return None
        folder.check_parts()
        summary = _summary(files, read, batch.recipe.k)
        if not (folder.path / SUMMARY).exists():
            folder.write_json(SUMMARY, asdict(summary))
        folder.forget_chunks()
        shutil.rmtree(files.work, ignore_errors=True)
    return summary


def _config(batch: Batch, folder: BatchFolder) -> dict[str, Any]:
    """Everything that decides the output. Where no model was named, it is the one served when the job began."""
    recipe = batch.recipe
    model = recipe.settings.model
    if model is None and (folder.path / SUMMARY).exists():
        model = folder.config()["model"]  # a finished job asks nobody
    elif not (folder.path / SUMMARY).exists():
        model = asyncio.run(_served(recipe)) if batch.offline is None else model or batch.offline.model
    return {
        "format": _FORMAT,
        "input": batch.source.fingerprint(),
        "columns": batch.source.columns.model_dump(),
        "conversation": batch.source.conversation,
        "liked_from": batch.liked_from,
        "disliked_to": batch.disliked_to,
        "chunk": batch.chunk,
        "model": model,
        **recipe.config(),
    }


async def _served(recipe: Recipe) -> str:
    """The model that all servers serve; `ConfigError` where they serve different ones."""
    from zsrec.llm.client import OpenAIClient

    found: dict[str, str] = {}
    for url in recipe.base_urls or (recipe.settings.base_url,):
        async with OpenAIClient(recipe.settings.replaced(base_url=url)) as client:
            found[url] = (await client.handshake()).model
    if len(set(found.values())) > 1:
        raise ConfigError(
            f"the servers serve different models: {', '.join(f'{url} {name!r}' for url, name in found.items())}",
            hint="name one with --model",
        )
    return next(iter(found.values()))


def _prepare(batch: Batch, folder: BatchFolder, files: Files) -> dict[str, Any]:
    """Split the input into chunks; of a job that has begun, write those again that are lost."""
    try:
        files.work.mkdir(mode=0o700, parents=True, exist_ok=True)  # histories
    except OSError as error:
        raise ConfigError(f"{files.work}: cannot be made: {error.strerror}", hint="check --out") from error
    counts, chunks, recorded, sums = Counts(), 0, folder.sums.read(), dict[str, str]()
    for part in read_parts(batch.source, batch.chunk, counts):
        path = files.chunk(chunks)
        name = folder.sums.name(path)
        if not files.part(chunks).exists() and not (path.exists() and name in recorded):
            write_chunk(files, chunks, part)
            sums[name] = sha256(path)
        chunks += 1
    folder.sums.record(sums, forget=sums)
    read = {"chunks": chunks, "counts": asdict(counts)}
    folder.write_json(INPUT, read)
    return read


def _summary(files: Files, read: dict[str, Any], k: int) -> Summary:
    """Summarise the parts from the columns that are the same on all rows of a user."""
    import pyarrow.compute as pc

    sums_of = ("unmatched", "dropped", "requests", "prompt_tokens", "completion_tokens", "cached_tokens")
    users = rows = unknown = full = empty = 0
    firsts: dict[str, Path] = {}
    errors, degraded, sums = Counter[str](), Counter[str](), Counter[str]()
    for number in range(read["chunks"]):
        part = arrow().parquet.read_table(
            files.part(number), columns=["user", "rank", "error", "degraded", *_EVENTS, *sums_of]
        )
        rows += len(part)
        first = part["user"][0].as_py()
        if firsts.setdefault(first, files.part(number)) != files.part(number):
            raise DamagedError(
                f"has the users of {firsts[first].name}", path=files.part(number), hint=REPAIR.format(files.out)
            )
        one_each = part.filter(pc.less_equal(pc.fill_null(part["rank"], 1), 1))
        users += len(one_each)
        full += pc.sum(pc.equal(part["rank"], k)).as_py() or 0
        empty += pc.sum(pc.and_(pc.is_null(one_each["rank"]), pc.is_null(one_each["error"]))).as_py() or 0
        given, lacking = (one_each[name].to_numpy() for name in _EVENTS)
        unknown += int(((given > 0) & (given == lacking)).sum())
        for counter, name in ((errors, "error"), (degraded, "degraded")):
            for found in one_each[name].drop_null().value_counts().to_pylist():
                counter[found["values"]] += found["counts"]
        for name in sums_of:
            sums[name] += pc.sum(one_each[name]).as_py() or 0
    if users != read["counts"]["users"]:
        wanted = read["counts"]["users"]
        raise DamagedError(
            f"{users:,} users in the parts, of {wanted:,}", path=files.out, hint=REPAIR.format(files.out)
        )
    return Summary(
        users=users,
        rows=rows,
        errors=dict(errors.most_common()),
        degraded=dict(degraded.most_common()),
        short=users - full - errors.total(),
        empty=empty,
        unknown_histories=unknown,
        input=json.loads(json.dumps(read["counts"])),
        **{name: sums[name] for name in sums_of},
    )
