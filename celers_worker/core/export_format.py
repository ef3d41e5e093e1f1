"""The format of an export: JSON Lines; a header first, then a row a line, and an end that counts.

    {"header": {"format": 1, "revision": "0001", "at": "2026-01-31T08:00:00Z", …}}
    {"archive": {"id": "…", "task_name": "send", "payload": {"json": {"to": "ada"}}, …}}
    {"tasks": {"id": "…", …}}
    {"end": {"rows": {"archive": 1, "tasks": 1}, "sha256": "…"}}

The key of a line is the part it belongs to, and its value a row by column. Instants are RFC 3339
in UTC. Bytes are ``{"json": …}`` where they are JSON, kept byte for byte, and else
``{"base64": "…"}``. What is null is left out. The checksum is of every byte before the last line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from celers_worker.core.errors import ExportError

#: Raised when an older celers-worker could not read what is written now.
FORMAT = 1
#: A longer line is refused before it is read to its end, in bytes. The longest row of ours is a
#: payload and a traceback of 16 MiB each.
LONGEST_LINE = 128 * 1024 * 1024

#: Beyond so many levels JSON is written as base64, for a reader may be nested deeper than we are.
_LEVELS_TO_SPARE = 100
_WHITESPACE = b" \t\r\n"


class Content(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Bytes in a line: one of the two is given."""

    json: msgspec.Raw = msgspec.Raw()
    base64: bytes | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line: what the file holds, and of which database at which moment."""

    format: int
    version: str
    """Of the celers-worker that wrote it."""
    revision: str
    """Of the tables."""
    database: str
    server: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    """The database's time at the moment whose rows these are."""
    parts: Sequence[str]
    chosen: Mapping[str, Sequence[str]] = {}
    """The filters, if not everything of the parts was meant."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last line: how many rows of each part came before it, and the checksum of them."""

    rows: Mapping[str, int]
    sha256: str


def content_of(data: bytes) -> Content:
    """Write *data* readably if it is JSON that reads back as the same bytes."""
    if not data or data[0] in _WHITESPACE or data[-1] in _WHITESPACE or b"\n" in data:
        return Content(base64=data)
    try:
        msgspec.json.decode(b"%b%b%b" % (b"[" * _LEVELS_TO_SPARE, data, b"]" * _LEVELS_TO_SPARE))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Content(base64=data)
    return Content(json=msgspec.Raw(data))


def bytes_of(content: Content) -> bytes:
    """Read what ``content_of`` wrote. Raises ExportError unless one of the two is given."""
    found = bytes(content.json)
    if bool(found) == (content.base64 is not None):
        raise ExportError('bytes are {"json": …} or {"base64": "…"}, one of the two')
    return found or content.base64 or b""


def check_header(header: Header, *, revision: str) -> None:
    """Raise ExportError if the file is newer than this version, whose tables are at *revision*."""
    upgrade = "Run: pip install --upgrade celers-worker"
    if header.format > FORMAT:
        raise ExportError(
            f"it has format {header.format}, written by celers-worker {header.version}; "
            f"this one reads formats up to {FORMAT}. {upgrade}"
        )
    if header.revision > revision:
        raise ExportError(
            f"its tables are at revision {header.revision}, newer than the {revision} of this "
            f"celers-worker. {upgrade}"
        )
