"""Files that are damaged, altered, newer or made to do harm: refused, the line by its number."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celers_worker.core import export_format
from celers_worker.core.errors import ExportError
from celers_worker.moving import reading
from celers_worker.moving.exporting import export
from celers_worker.moving.importing import ImportOptions, import_rows
from celers_worker.moving.reading import ExportReader
from celers_worker.store import make_direct_store
from celers_worker.store.direct import DirectStore
from tests.moving import content
from tests.moving.conftest import Database


@pytest.fixture
def direct(database: Database) -> Iterator[DirectStore]:
    with make_direct_store(database("sqlite")) as opened:
        yield opened


@pytest.fixture
def file(direct: DirectStore) -> bytes:
    """An export of four tasks: a header, four rows, the end."""
    content.write(direct, {"tasks": [content.task() for _ in range(4)]})
    stream = io.BytesIO()
    export(direct, stream)
    return stream.getvalue()


def verify(data: bytes) -> reading.Verified:
    return ExportReader(io.BytesIO(data), "the file").verify()


def refused(data: bytes) -> str:
    with pytest.raises(ExportError) as caught:
        verify(data)
    return str(caught.value)


def resealed(file: bytes, change: Callable[[list[Any]], None]) -> bytes:
    """The file with other lines, and counts and a checksum that are right for them."""
    documents = [json.loads(line) for line in file.splitlines()[:-1]]
    change(documents)
    lines = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    rows: dict[str, int] = dict.fromkeys(documents[0]["header"]["parts"], 0)
    for document in documents[1:]:
        [part] = document
        rows[part] = rows.get(part, 0) + 1
    end = {"rows": rows, "sha256": hashlib.sha256(lines).hexdigest()}
    return lines + json.dumps({"end": end}).encode() + b"\n"


def test_a_whole_file_is_whole(file: bytes) -> None:
    assert verify(file).rows["tasks"] == 4
    assert verify(gzip.compress(file)).rows["tasks"] == 4
    assert verify(file).queues == {"default"}


def test_a_file_cut_off_between_two_lines_says_how_far_it_is_valid(file: bytes) -> None:
    lines = file.splitlines(keepends=True)
    assert refused(b"".join(lines[:3])) == (
        "the file ends after line 3 without its last line: the export was not finished, or the "
        "file was cut off. Everything up to there is valid; to take that much: "
        "celers import --partial"
    )


def test_a_file_cut_off_inside_a_line_names_the_line(file: bytes) -> None:
    lines = file.splitlines(keepends=True)
    cut = b"".join(lines[:3]) + lines[3][:20]
    assert refused(cut) == "the file, line 4: it is cut off; everything before it is valid."


def test_a_compressed_file_that_is_cut_off_says_how_far_it_is_valid(file: bytes) -> None:
    header, *rows = file.splitlines(keepends=True)
    long = gzip.compress(header + b"".join(rows[:4]) * 20_000)
    assert re.search(r"ends after line [\d,]{3,} without its last line", refused(long[:-20]))
    assert refused(gzip.compress(file)[:-20]) == (
        "the file is cut off: nothing of it can be unpacked."
    )


def test_a_compressed_file_that_is_damaged_is_refused(file: bytes) -> None:
    packed = bytearray(gzip.compress(file))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(ExportError):
        verify(bytes(packed))


def test_an_altered_row_is_found_by_the_checksum(file: bytes) -> None:
    altered = file.replace(b'"to":"ada"', b'"to":"eve"', 1)
    assert refused(altered) == (
        "the file, line 6: the checksum is another one: the file was altered after it was written."
    )


def test_a_row_that_was_taken_out_is_missed(file: bytes) -> None:
    lines = file.splitlines(keepends=True)
    told = refused(b"".join(lines[:2] + lines[3:]))
    assert told.startswith("the file, line 5: the end counts ")
    assert "4 tasks" in told
    assert told.endswith("3 tasks: lines are missing or were added.")


def test_what_follows_the_end_is_refused(file: bytes) -> None:
    assert refused(file + file) == "the file, line 7: something follows its last line."


def _set(column: str, value: Any) -> Callable[[list[Any]], None]:
    def change(documents: list[Any]) -> None:
        documents[2]["tasks"][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_set("priority", "high"), "Expected `int`, got `str` at `tasks.priority`"),
        (_set("priority", 2**31), "Expected `int` <= 2147483647 at `tasks.priority`"),
        (_set("priority", 1.5), "Expected `int`, got `float` at `tasks.priority`"),
        (_set("id", "1"), "Invalid UUID at `tasks.id`"),
        (_set("id", None), "Expected `uuid`, got `null` at `tasks.id`"),
        (_set("state", "completed"), "Invalid enum value 'completed' at `tasks.state`"),
        (_set("created_at", "yesterday"), "Invalid RFC3339 encoded datetime at `tasks.created_at`"),
        (
            _set("created_at", "2026-01-31T08:00:00"),
            "Expected `datetime` with a timezone component at `tasks.created_at`",
        ),
        (_set("task_name", "x" * 256), "Expected `str` of length <= 255 at `tasks.task_name`"),
        (
            _set("payload", {"base64": "%"}),
            "Invalid base64 encoded string at `tasks.payload.base64`",
        ),
        (_set("payload", {}), 'bytes are {"json": …} or {"base64": "…"}, one of the two'),
        (_set("colour", "red"), "Object contains unknown field `colour` at `tasks`"),
        (
            lambda documents: documents[2].clear(),
            "a line holds one thing: a header, a row or the end",
        ),
        (
            lambda documents: documents.insert(2, {"spaceships": {}}),
            "Object contains unknown field `spaceships`",
        ),
        (
            lambda documents: documents.insert(2, documents[0]),
            "an export begins with its header, and has one",
        ),
    ],
)
def test_a_bad_line_is_named(
    file: bytes, change: Callable[[list[Any]], None], problem: str
) -> None:
    lines = file.splitlines()
    documents = [json.loads(line) for line in lines]
    change(documents)
    data = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    assert refused(data) == f"the file, line 3: {problem}."


def test_what_is_no_export_is_told_so() -> None:
    assert refused(b"") == "the file is empty."
    assert refused(b"-- MariaDB dump\n").startswith("the file, line 1: it is no export of Celers: ")
    assert refused(b"\x00\xff\n").startswith("the file, line 1: it is no export of Celers: ")
    assert refused(b"{}\n").startswith("the file, line 1: it is no export of Celers: ")
    assert refused(b"[" * 100_000 + b"\n") == (
        "the file, line 1: it is no export of Celers: Expected `object`, got `array`."
    )


def test_a_newer_file_says_what_to_do(file: bytes) -> None:
    assert refused(file.replace(b'"format":1', b'"format":2')) == (
        "the file: it has format 2, written by celers-worker "
        f"{json.loads(file.splitlines()[0])['header']['version']}; this one reads formats up to 1. "
        "Run: pip install --upgrade celers-worker"
    )

    def newer(documents: list[Any]) -> None:
        documents[0]["header"]["revision"] = "9999"

    told = refused(resealed(file, newer))
    assert "its tables are at revision 9999, newer than the" in told
    assert told.endswith("Run: pip install --upgrade celers-worker")


def test_columns_that_an_older_export_does_not_have_get_their_defaults(
    file: bytes, database: Database
) -> None:
    def older(documents: list[Any]) -> None:
        documents[0]["header"]["revision"] = "0000"
        for document in documents[1:]:
            for column in ("lease", "crash_count", "max_retries", "queue_name", "waits_for"):
                del document["tasks"][column]

    reader = ExportReader(io.BytesIO(resealed(file, older)), "the file")
    with make_direct_store(database("sqlite")) as other:
        import_rows(other, reader, ImportOptions())
        rows = content.contents(other, "tasks")["tasks"]
    assert [(row["lease"], row["max_retries"], row["queue_name"]) for row in rows] == [
        (0, 3, "")
    ] * 4


def test_duplicate_ids_come_in_once(file: bytes, database: Database) -> None:
    def doubled(documents: list[Any]) -> None:
        documents.extend(documents[1:])

    reader = ExportReader(io.BytesIO(resealed(file, doubled)), "the file")
    reader.verify()
    with make_direct_store(database("sqlite")) as other:
        tally = import_rows(other, reader, ImportOptions())
        assert (tally.added, tally.known) == ({"tasks": 4}, 4)
        assert len(content.contents(other, "tasks")["tasks"]) == 4


def test_part_of_a_damaged_file_is_better_than_nothing(file: bytes, database: Database) -> None:
    lines = file.splitlines(keepends=True)
    reader = ExportReader(io.BytesIO(b"".join(lines[:3]) + lines[3][:20]), "the file")
    with make_direct_store(database("sqlite")) as other:
        tally = import_rows(other, reader, ImportOptions(partial=True))
        assert tally.added == {"tasks": 2}
        assert tally.fault == "the file, line 4: it is cut off; everything before it is valid."
        assert len(content.contents(other, "tasks")["tasks"]) == 2


def test_a_line_without_an_end_is_given_up(file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 10_000)
    header = file.splitlines(keepends=True)[0]
    assert refused(header + b"x" * 20_000) == "the file, line 2: it is longer than 10,000 bytes."


def test_a_few_kilobytes_that_unpack_to_gigabytes_cost_no_memory(
    file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 4 * 1024 * 1024
    monkeypatch.setattr(reading, "LONGEST_LINE", limit)
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as packed:
        packed.write(file.splitlines(keepends=True)[0])
        for _ in range(64):
            packed.write(b"0" * 1024 * 1024)
    assert len(bomb.getvalue()) < 100_000

    tracemalloc.start()
    try:
        assert "line 2: it is longer than" in refused(bomb.getvalue())
        assert tracemalloc.get_traced_memory()[1] < 4 * limit
    finally:
        tracemalloc.stop()


def test_every_line_that_is_written_can_be_read() -> None:
    assert reading.LONGEST_LINE == export_format.LONGEST_LINE
