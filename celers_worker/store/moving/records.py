"""Rows as lines of an export and back, each part by the types of its columns.

A line is checked as it is read: types, lengths, ranges, states, unknown columns. So what is wrong
is said with the number of its line before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import JSON, BigInteger, Column, Double, Integer, LargeBinary, String
from sqlalchemy.types import Boolean, TypeDecorator

from celers_worker.core.errors import ExportError
from celers_worker.core.export_format import Content, End, Header, bytes_of, content_of
from celers_worker.store.moving.parts import PARTS, Part
from celers_worker.store.types import Id, LenientJson, UtcDateTime

Row = Mapping[str, Any]

#: Written by the server, in an older export that does not have the column yet.
_MISSING = msgspec.UNSET
_KINDS: Sequence[tuple[type[Any], Any]] = (
    (Id, UUID),
    (UtcDateTime, Annotated[datetime, msgspec.Meta(tz=True)]),
    (LargeBinary, Content),
    (LenientJson, Any),
    (JSON, Any),
    (BigInteger, Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]),
    (Integer, Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]),
    (Boolean, bool),
    (Double, float),
)


class Records:
    """Writes rows of parts as lines, and reads lines."""

    def __init__(self, parts: Sequence[Part] = PARTS) -> None:
        self.parts = {part.name: part for part in parts}
        self._bytes = {
            part.name: [str(column.name) for column in part.table.c if _holds_bytes(column)]
            for part in parts
        }
        self._types = {part.name: _struct(part) for part in parts}
        lines: list[tuple[str, Any, Any]] = [
            (name, kind | msgspec.UnsetType, msgspec.UNSET)
            for name, kind in {"header": Header, "end": End, **self._types}.items()
        ]
        line = msgspec.defstruct("Line", lines, forbid_unknown_fields=True)
        self._decode = msgspec.json.Decoder(line).decode
        self._encode = msgspec.json.Encoder().encode

    def write(self, part: Part, row: Row) -> bytes:
        """The line of a row, without its end."""
        values = dict(row)
        for name in self._bytes[part.name]:
            if values[name] is not None:
                values[name] = content_of(bytes(values[name]))
        return self._encode({part.name: self._types[part.name](**values)})

    def write_frame(self, frame: Header | End) -> bytes:
        """The first or the last line, without its end."""
        return self._encode({"header" if isinstance(frame, Header) else "end": frame})

    def read(self, line: bytes) -> Header | End | tuple[Part, dict[str, Any]]:
        """What a line holds. Raises ExportError, which says what is wrong with it."""
        try:
            decoded = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ExportError(_complaint(error)) from None
        found = [
            (name, value)
            for name in decoded.__struct_fields__
            if (value := getattr(decoded, name)) is not msgspec.UNSET
        ]
        if len(found) != 1:
            raise ExportError("a line holds one thing: a header, a row or the end")
        [(name, value)] = found
        return (
            value
            if isinstance(value, (Header, End))
            else (self.parts[name], self._row(name, value))
        )

    def _row(self, name: str, record: Any) -> dict[str, Any]:
        row: dict[str, Any] = {field: getattr(record, field) for field in record.__struct_fields__}
        for field in self._bytes[name]:
            if row[field] is not None:
                row[field] = bytes_of(row[field])
        for field, value in row.items():
            if value is _MISSING:
                row[field] = _default(self.parts[name].table.c[field])
        return row


def _struct(part: Part) -> type[Any]:
    return msgspec.defstruct(
        part.name,
        [_field(part, column) for column in part.table.c],
        kw_only=True,
        frozen=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
    )


def _field(part: Part, column: Column[Any]) -> Any:
    kind, name = _kind(part, column), str(column.name)
    if column.nullable:
        return (name, kind | None, None)
    if _has_constant_default(column):
        return (name, kind | msgspec.UnsetType, _MISSING)
    return (name, kind)


def _kind(part: Part, column: Column[Any]) -> Any:
    if part.holds_tasks and column.name == "state":
        return Literal[tuple(sorted(state.value for state in part.states))]
    for database_type, kind in _KINDS:
        if isinstance(column.type, database_type):
            return kind
    length = column.type.length if isinstance(column.type, String) else None
    return str if length is None else Annotated[str, msgspec.Meta(max_length=length)]


def _holds_bytes(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


def _has_constant_default(column: Column[Any]) -> bool:
    # Not the time: a row without its own would get another one each time it is read.
    return isinstance(getattr(column.server_default, "arg", None), str)


def _default(column: Column[Any]) -> Any:
    """What the server would write into a column that an older export does not have."""
    text = str(getattr(column.server_default, "arg", ""))
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    match kind:
        case Boolean():
            return text.lower() in ("1", "true")
        case Integer():
            return int(text)
        case Double():
            return float(text)
        case _:
            return text


def _complaint(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    # msgspec says where: "… - at `$.tasks.priority`".
    return str(error).replace(" - at `$.", " at `").replace("JSON is malformed", "not JSON")
