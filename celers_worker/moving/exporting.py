"""A database → an export: everything that is wanted, as it was at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from celers_worker.core.export_format import FORMAT, Header
from celers_worker.moving.progress import Advance, in_silence
from celers_worker.moving.writing import ExportWriter
from celers_worker.store import DirectStore
from celers_worker.store.moving.pages import count, pages
from celers_worker.store.moving.selection import EVERYTHING, Selection
from celers_worker.store.moving.snapshot import Snapshot, snapshot
from celers_worker.store.schema import HEAD
from celers_worker.version import __version__


def export(
    store: DirectStore,
    stream: BinaryIO,
    wanted: Selection = EVERYTHING,
    *,
    compressed: bool = False,
    advance: Advance = in_silence,
) -> Mapping[str, int]:
    """Write what is *wanted* to *stream* and return how many rows there are of each part.

    Workers and producers may go on. Raises StoreError if the database fails meanwhile; what was
    written then has no last line, and no reader takes it for whole.
    """
    parts = wanted.parts
    with snapshot(store) as moment:
        writer = ExportWriter(stream, compressed=compressed)
        writer.begin(_header(store, moment, wanted))
        for part in parts:
            for rows in pages(moment.connection, part, wanted):
                for row in rows:
                    writer.row(part, row)
                advance(len(rows))
        return writer.end()


def counted(store: DirectStore, wanted: Selection) -> Mapping[str, int]:
    """How many rows of each part an export would hold now."""
    with snapshot(store) as moment:
        return {part.name: count(moment.connection, part, wanted) for part in wanted.parts}


def _header(store: DirectStore, moment: Snapshot, wanted: Selection) -> Header:
    return Header(
        format=FORMAT,
        version=__version__,
        revision=HEAD,
        database=store.name,
        server=str(moment.server),
        at=moment.at,
        parts=[part.name for part in wanted.parts],
        chosen=wanted.chosen,
    )
