"""Writing an export: lines to a stream, counted and with a checksum, compressed if wanted."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from typing import BinaryIO, cast

from celers_worker.core.errors import CelersError
from celers_worker.core.export_format import LONGEST_LINE, End, Header
from celers_worker.store.moving.parts import Part
from celers_worker.store.moving.records import Records, Row

#: Beyond 6 it takes twice as long for a hundredth less.
_LEVEL = 6


class ExportWriter:
    """Writes one export to *stream*, which it does not close."""

    def __init__(self, stream: BinaryIO, *, compressed: bool) -> None:
        # Without a name and a time in its header the same rows give the same bytes.
        self._zipped = (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=stream, mtime=0)
            if compressed
            else None
        )
        self._out = cast("BinaryIO", self._zipped or stream)
        self._sum = hashlib.sha256()
        self._rows: dict[str, int] = {}
        self._records = Records()

    def begin(self, header: Header) -> None:
        """Write the first line."""
        self._rows = dict.fromkeys(header.parts, 0)
        self._write(self._records.write_frame(header))

    def row(self, part: Part, row: Row) -> None:
        """Write one row."""
        line = self._records.write(part, row)
        if len(line) >= LONGEST_LINE:
            key = ", ".join(str(row[column.name]) for column in part.key)
            raise CelersError(
                f"{part.name} {key} has {len(line):,} bytes, and no reader takes a line of more "
                f"than {LONGEST_LINE:,}. Dump the database with its own tool."
            )
        self._rows[part.name] += 1
        self._write(line)

    def end(self) -> Mapping[str, int]:
        """Write the last line, and return how many rows there are of each part."""
        end = End(rows=self._rows, sha256=self._sum.hexdigest())
        self._out.write(self._records.write_frame(end) + b"\n")
        if self._zipped is not None:
            self._zipped.close()
        return self._rows

    def _write(self, line: bytes) -> None:
        self._sum.update(line)
        self._sum.update(b"\n")
        self._out.write(line)
        self._out.write(b"\n")
