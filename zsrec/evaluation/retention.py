"""Removal of users, requests and answers from complete runs.

    all       everything: every request with its history, every answer, users' own ids (the default)
    answers   what the model answered, without the requests; users under pseudonyms
    none      neither requests nor answers; users under pseudonyms

Predictions, metrics and reports stay, so reports can be made again and runs compared. A prediction is a pseudonym
with one item of that user's (the held-out one), the items that were recommended, and the candidates; an answer may
repeat what its prompt said. Removed means unlinked: a disk's old blocks and backups are the operator's.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from zsrec.core.errors import ConfigError, DataError
from zsrec.core.privacy import Pseudonyms
from zsrec.core.resumable_folder import CONFIG
from zsrec.core.settings import Keep
from zsrec.evaluation.run_folder import JOURNAL, METRICS, PROBE, RETENTION, SCRUB_KEY, RunFolder
from zsrec.llm.journal import without_requests

_DAY = 86_400.0
_ORDER: tuple[Keep, ...] = ("all", "answers", "none")
_KIND = "run"  # the same key makes other pseudonyms here than in the service's log


def scrub(folder: RunFolder, keep: Keep, *, hash_key: str | None = None, unfinished: bool = False) -> Keep:
    """Removes from a folder what `keep` does not name; what was removed earlier stays so.

    It may be killed at any moment; the next call resumes with the same pseudonyms.
    """
    if not (folder.path / CONFIG).exists():
        raise DataError("there is no config.json", path=folder.path, hint="is this the folder of a run?")
    with folder.locked():
        return scrub_locked(folder, keep, hash_key=hash_key, unfinished=unfinished)


def scrub_locked(folder: RunFolder, keep: Keep, *, hash_key: str | None = None, unfinished: bool = False) -> Keep:
    """`scrub` for a caller that holds the folder's lock."""
    wanted = max(keep, kept(folder), key=_ORDER.index)
    if wanted == "all":
        return wanted
    if not finished(folder):
        if not unfinished:
            raise ConfigError(
                f"{folder.path}: the run is not complete, and it needs its replies to resume",
                hint="finish it with the same command, or empty it with --unfinished",
            )
        folder.empty()
        return "none"
    check_key(folder, hash_key, growing=folder.has_users())
    pseudonyms = _pseudonyms(folder, hash_key)
    key = folder.read_if_there(RETENTION).get("key") or pseudonyms.of("key", "")
    journal = folder.path / JOURNAL
    if wanted == "none":
        folder.remove(JOURNAL)
    elif journal.exists():
        without_requests(journal, folder.purpose, lambda key: pseudonyms.of("request", key))
    folder.rename_users(lambda user: pseudonyms.of(_KIND, user))
    folder.remove_parts()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    folder.write_json(RETENTION, {"keep": wanted, "since": since, "key": key})
    folder.remove(SCRUB_KEY)
    return wanted


def kept(folder: RunFolder) -> Keep:
    """What a folder holds."""
    found: Keep = folder.read_if_there(RETENTION).get("keep", "all")
    if found not in _ORDER:
        raise DataError(
            "'keep' is none of all, answers, none", path=folder.path / RETENTION, hint="scrub it again"
        )
    return found


def finished(folder: RunFolder) -> bool:
    """Whether everything that was asked for is there, the report included."""
    config = folder.config()
    complete = all(map(folder.has, config["methods"])) and (folder.path / METRICS).exists()
    return complete and (not config["questions"] or (folder.path / PROBE).exists())


def days_old(folder: RunFolder) -> float:
    """Days since a request or a prediction was last written; making the report again does not count."""
    files = [folder.path / CONFIG, folder.path / JOURNAL, *folder.prediction_files()]
    return (time.time() - max(file.stat().st_mtime for file in files if file.exists())) / _DAY


def check_key(folder: RunFolder, hash_key: str | None, *, growing: bool) -> None:
    """Makes sure that users who join a scrubbed run get pseudonyms of the same key."""
    key = folder.read_if_there(RETENTION).get("key")
    if growing and key is not None and (hash_key is None or Pseudonyms(hash_key.encode()).of("key", "") != key):
        raise ConfigError(
            f"{folder.path}: its users have pseudonyms of another key, so no method can be added",
            hint="set ZSREC_HASH_KEY to the key it was scrubbed with, or take another --out",
        )


def _pseudonyms(folder: RunFolder, hash_key: str | None) -> Pseudonyms:
    """Of the given key or of a new one, kept in the folder until all of it is scrubbed."""
    if not (folder.path / SCRUB_KEY).exists():
        key = hash_key or secrets.token_hex(32)
        Pseudonyms(key.encode())  # a short key is refused before anything is written
        folder.write_text(SCRUB_KEY, key, private=True)
    return Pseudonyms((folder.path / SCRUB_KEY).read_bytes())
