"""Backups: compressed exports in a directory, called for their database and their time.

One form for every database: it can be verified without a server, restored into another kind or a
newer version, and read by a person. What a server's own tools do better, docs/operations/backup.md
says.
"""

from __future__ import annotations

import gzip
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from celers_worker.core.errors import CelersError
from celers_worker.core.export_format import Header
from celers_worker.moving.exporting import export
from celers_worker.moving.files import written_whole
from celers_worker.moving.progress import Advance, in_silence
from celers_worker.store import DirectStore
from celers_worker.store.moving.selection import EVERYTHING, Selection

SUFFIX = ".jsonl.gz"
_SUFFIXES = (".jsonl", ".gz")
_NAME = re.compile(r"(?P<database>.+)-(?P<at>\d{8}T\d{6}Z)\.jsonl\.gz")
_TIME = "%Y%m%dT%H%M%SZ"
#: No backup takes so long: what is older was left by one that was killed.
_LEFT_BEHIND = timedelta(days=1)
#: In bytes; it has the filters of the export.
_LONGEST_HEADER = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup in a directory, as its name tells."""

    path: Path
    database: str
    at: datetime
    bytes: int


def backup(
    store: DirectStore,
    place: Path,
    wanted: Selection = EVERYTHING,
    *,
    advance: Advance = in_silence,
) -> tuple[Path, Mapping[str, int]]:
    """Write a backup to *place*, a directory or a file, and return its path and rows by part.

    It has its name only when it is whole and on the disk.
    """
    path = place / _name(store, datetime.now(UTC)) if _is_directory(place) else place
    with written_whole(path) as file:
        compressed = not path.name.endswith(".jsonl")
        rows = export(store, file, wanted, compressed=compressed, advance=advance)
    return path, rows


def list_backups(directory: Path) -> Sequence[Backup]:
    """The backups in *directory*, the newest first; other files are nobody's business."""
    if not directory.is_dir():
        raise CelersError(f"there is no directory {directory}.")
    found = [
        Backup(
            path=path,
            database=match["database"],
            at=datetime.strptime(match["at"], _TIME).replace(tzinfo=UTC),
            bytes=path.stat().st_size,
        )
        for path in directory.iterdir()
        if (match := _NAME.fullmatch(path.name)) and path.is_file()
    ]
    return sorted(found, key=lambda one: (one.at, one.path.name), reverse=True)


def newest(place: Path) -> Path:
    """*place*, or if it is a directory, the newest backup in it. Raises CelersError if none is."""
    if not place.is_dir():
        return place
    found = list_backups(place)
    if not found:
        raise CelersError(f"there is no backup in {place}.")
    databases = sorted({_source(one.path) or one.database for one in found})
    if len(databases) > 1:
        raise CelersError(f"{place} has backups of {', '.join(databases)}: name one file.")
    return found[0].path


def rotate(latest: Path, *, keep: int) -> Sequence[Path]:
    """Delete older backups of the database of *latest*, in its directory, so that *keep* are left.

    Returns what was deleted. What a killed backup left behind goes too.
    """
    match = _NAME.fullmatch(latest.name)
    if match is None:  # the user's own name for it: there is nothing to rotate
        return []
    database = match["database"]
    for path in latest.parent.glob(".*.partial"):
        old = time.time() - path.stat().st_mtime > _LEFT_BEHIND.total_seconds()
        if old and path.name.startswith(f".{database}-"):
            path.unlink(missing_ok=True)
    older = _like(latest.parent, database, _source(latest))[keep:]
    for path in older:
        path.unlink(missing_ok=True)
    return older


def outdated(store: DirectStore, directory: Path, *, keep: int) -> Sequence[Path]:
    """What ``rotate`` would delete after one more backup of *store* in *directory*."""
    match = _NAME.fullmatch(_name(store, datetime.now(UTC)))
    return _like(directory, match["database"], store.name)[keep - 1 :] if match else []


def _like(directory: Path, database: str, source: str | None) -> Sequence[Path]:
    """The backups of *database*; not those of another server's, which may be called the same."""
    return [
        one.path
        for one in list_backups(directory)
        if one.database == database and _source(one.path) in (source, None)
    ]


class _FirstLine(msgspec.Struct):
    header: Header


def _source(path: Path) -> str | None:
    """The database that a backup says it is of; None if it does not say."""
    try:
        with gzip.open(path) as file:
            line = file.readline(_LONGEST_HEADER)
        return msgspec.json.decode(line, type=_FirstLine).header.database
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError):
        return None


def _is_directory(place: Path) -> bool:
    if place.is_dir():
        return True
    if not place.name.endswith(_SUFFIXES):
        raise CelersError(
            f"there is no directory {place}: make it first, or name a file that ends with {SUFFIX}."
        )
    return False


def _name(store: DirectStore, at: datetime) -> str:
    database = Path(store.url.database or "celers").stem
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', database)}-{at.strftime(_TIME)}{SUFFIX}"
