"""A database → another, of whatever kind: nothing lost, nothing doubled, run again for the rest.

While workers run at the source, only history is copied: a task that waits there would run in both.
So it takes two passes: one while everything runs, for the bulk; then the workers are stopped, and
the second pass takes what waits, and what has ended since. Producers may go on: what they add is
found by the next pass. What is at the target already stays, unless the source's is newer, which the
lease says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from celers_worker.core.errors import CelersError
from celers_worker.moving.importing import Tally
from celers_worker.moving.progress import Advance, Stop, in_silence, never
from celers_worker.store import DirectStore, survey
from celers_worker.store.moving import relocating
from celers_worker.store.moving.arrival import Conflict
from celers_worker.store.moving.loading import load
from celers_worker.store.moving.pages import count, pages
from celers_worker.store.moving.parts import Part
from celers_worker.store.moving.selection import EVERYTHING, Selection
from celers_worker.store.moving.snapshot import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What one pass takes along, and what it must leave for the next."""

    parts: Sequence[Part]
    left: Sequence[Part]
    workers: int
    """That run at the source; if there are any, only history is taken."""


@dataclass(slots=True)
class Copied:
    """What has become of the rows, and how many have left the source."""

    tally: Tally = field(default_factory=Tally)
    deleted: dict[str, int] = field(default_factory=dict)


def plan(
    source: DirectStore,
    target: DirectStore,
    wanted: Selection = EVERYTHING,
    *,
    moving: bool = False,
) -> Passage:
    """What a pass would take along now. Raises CelersError if the two are one database.

    *moving*: the source is written to, to be sure of that whatever the two are called.
    """
    if source.url == target.url or (moving and relocating.is_same(source, target)):
        raise CelersError(
            f"{source.name} and {target.name} are one database: name another one with --to."
        )
    workers = _running(source)
    parts = wanted.parts
    taken = [part for part in parts if part.history or not workers]
    return Passage(
        parts=taken,
        left=[part for part in parts if part not in taken],
        workers=workers,
    )


def counted(source: DirectStore, passage: Passage, wanted: Selection) -> Mapping[str, int]:
    """How many rows of each part a pass would look at."""
    with snapshot(source) as moment:
        return {part.name: count(moment.connection, part, wanted) for part in passage.parts}


def copy(
    source: DirectStore,
    target: DirectStore,
    passage: Passage,
    wanted: Selection = EVERYTHING,
    *,
    dry_run: bool = False,
    advance: Advance = in_silence,
    stop: Stop = never,
) -> Copied:
    """Copy what is *wanted*, as it is at one moment, in batches that are committed one by one."""
    copied = Copied()
    with snapshot(source) as moment:
        for part in passage.parts:
            for rows in pages(moment.connection, part, wanted):
                if stop():
                    return copied
                loaded = target.run(load, part, rows, conflict=Conflict.NEWER, dry_run=dry_run)
                copied.tally.add(part.name, loaded)
                advance(len(rows))
    copied.tally.finished = True
    return copied


def move(
    source: DirectStore,
    target: DirectStore,
    passage: Passage,
    wanted: Selection = EVERYTHING,
    *,
    advance: Advance = in_silence,
    stop: Stop = never,
) -> Copied:
    """As ``copy``, and delete at the source what the target has committed, batch by batch.

    A batch is locked at the source until it is deleted there, so nobody changes what is on its
    way. Killed in between, it is in both until the next run, which deletes it at the source.
    """
    copied = Copied()
    for part in passage.parts:
        for batch in _moved(source, target, part, wanted):
            copied.tally.add(part.name, batch.loaded)
            copied.deleted[part.name] = copied.deleted.get(part.name, 0) + batch.deleted
            advance(len(batch.rows))
            if stop():
                return copied
    copied.tally.finished = True
    return copied


def _moved(
    source: DirectStore, target: DirectStore, part: Part, wanted: Selection
) -> Iterator[relocating.Batch]:
    for stage in relocating.stages_of(part):
        batch: relocating.Batch | None = None
        while batch is None or not batch.is_last:
            batch = source.run(relocating.relocate, target, part, wanted, stage, before=batch)
            if batch.rows:
                yield batch


def _running(store: DirectStore) -> int:
    views = store.run(survey.list_workers)
    return sum(view.state != "lost" for view in views)
