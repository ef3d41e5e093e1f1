"""Reading an export: row by row, and only to its end if it is whole.

Memory is bounded by the longest line, whatever a file claims to hold: neither a line without an end
nor a few kilobytes that unpack to terabytes do any harm.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn, cast

from celers_worker.core.errors import ExportError
from celers_worker.core.export_format import LONGEST_LINE, End, Header, check_header
from celers_worker.core.task import TaskState
from celers_worker.store.moving.parts import Part
from celers_worker.store.moving.records import Records
from celers_worker.store.schema import HEAD

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A file that was read to its end and is whole."""

    header: Header
    rows: Mapping[str, int]
    sha256: str
    queues: frozenset[str] = field(repr=False)
    """The queues of its live tasks."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row with the number of its line, from 1."""

    number: int
    part: Part
    row: dict[str, Any]


class ExportReader:
    """Reads one export from *stream*, which can be sought, and calls it *name*."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._records = Records()
        self._number = 0
        self.header: Header | None = None
        self.end: End | None = None
        self._rows: dict[str, int] = {}

    def verify(self) -> Verified:
        """Read all of it. Raises ExportError, which says how far it is valid."""
        queues: set[str] = set()
        for line in self.lines():
            if TaskState.PENDING in line.part.states:
                queues.add(line.row["queue_name"])
        assert self.header is not None  # lines() ends with both or raises
        assert self.end is not None
        return Verified(
            header=self.header,
            rows=self.end.rows,
            sha256=self.end.sha256,
            queues=frozenset(queues),
        )

    def lines(self) -> Iterator[Line]:
        """Every row. Raises ExportError at the first line that is wrong, or if the end is."""
        self._stream.seek(0)
        self._number, self._rows, self.end = 0, {}, None
        checksum = hashlib.sha256()
        for raw in self._raw_lines():
            self._number += 1
            if self.end is not None:
                self._fail("something follows its last line")
            found = self._read(raw)
            if isinstance(found, End):
                self._check_end(found, checksum.hexdigest())
                self.end = found
                continue
            checksum.update(raw)
            if isinstance(found, Header):
                self._begin(found)
            else:
                yield self._line(*found)
        if self.end is None:
            self._fail_short()

    def _raw_lines(self) -> Iterator[bytes]:
        stream = self._unpacked()
        try:
            while raw := stream.readline(LONGEST_LINE):
                if not raw.endswith(b"\n"):
                    self._number += 1
                    if len(raw) == LONGEST_LINE:
                        self._fail(f"it is longer than {LONGEST_LINE:,} bytes")
                    self._fail("it is cut off; everything before it is valid")
                yield raw
        except EOFError:
            self._fail_short(cut_off=True)
        except (OSError, zlib.error) as error:
            if isinstance(error, gzip.BadGzipFile | zlib.error):
                self._number += 1
                self._fail(f"the compressed file is damaged here ({error})")
            raise

    def _unpacked(self) -> BinaryIO:
        packed = self._stream.read(len(_GZIP)) == _GZIP
        self._stream.seek(0)
        if not packed:
            return self._stream
        unpacked = gzip.GzipFile(fileobj=self._stream, mode="rb")
        return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", unpacked), 1024 * 1024))

    def _read(self, raw: bytes) -> Header | End | tuple[Part, dict[str, Any]]:
        try:
            found = self._records.read(raw)
        except ExportError as error:
            if self._number == 1:
                self._fail(f"it is no export of Celers: {error}")
            self._fail(str(error))
        if (self._number == 1) != isinstance(found, Header):
            self._fail("an export begins with its header, and has one")
        return found

    def _begin(self, header: Header) -> None:
        try:
            check_header(header, revision=HEAD)
        except ExportError as error:
            raise ExportError(f"{self._name}: {error}") from None
        self.header = header
        self._rows = dict.fromkeys(header.parts, 0)

    def _line(self, part: Part, row: dict[str, Any]) -> Line:
        if part.name not in self._rows:
            self._fail(f"its header does not announce {part.name}")
        self._rows[part.name] += 1
        return Line(self._number, part, row)

    def _check_end(self, end: End, checksum: str) -> None:
        if dict(end.rows) != self._rows:
            self._fail(
                f"the end counts {_counted(end.rows)}, but there are {_counted(self._rows)}: "
                "lines are missing or were added"
            )
        if end.sha256 != checksum:
            self._fail("the checksum is another one: the file was altered after it was written")

    def _fail_short(self, *, cut_off: bool = False) -> NoReturn:
        if not self._number:
            what = "is cut off: nothing of it can be unpacked" if cut_off else "is empty"
            raise ExportError(f"{self._name} {what}.")
        raise ExportError(
            f"{self._name} ends after line {self._number:,} without its last line: the export was "
            "not finished, or the file was cut off. Everything up to there is valid; "
            "to take that much: celers import --partial"
        )

    def _fail(self, what: str) -> NoReturn:
        raise ExportError(f"{self._name}, line {self._number:,}: {what}.")


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in rows.items()) or "nothing"
