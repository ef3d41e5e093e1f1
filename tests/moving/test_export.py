from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.task import NewTask, TaskState
from celers_worker.moving.exporting import counted, export
from celers_worker.moving.importing import ImportOptions, import_rows
from celers_worker.moving.reading import ExportReader
from celers_worker.store.direct import DirectStore
from celers_worker.store.moving.selection import EVERYTHING, Selection
from celers_worker.store.schema import HEAD
from tests.moving import content


def exported(direct: DirectStore, wanted: Selection = EVERYTHING, **options: bool) -> io.BytesIO:
    stream = io.BytesIO()
    export(direct, stream, wanted, **options)
    return stream


def lines(stream: io.BytesIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("compressed", [False, True])
def test_everything_comes_back_byte_for_byte(direct: DirectStore, compressed: bool) -> None:
    rows = content.fill(direct)
    stream = exported(direct, compressed=compressed)
    before = content.contents(direct)

    content.empty(direct)
    import_rows(direct, ExportReader(stream, "the export"), ImportOptions())

    assert content.contents(direct) == before == content.ordered(rows)


def test_an_export_says_what_it_is_and_what_it_holds(direct: DirectStore) -> None:
    rows = content.fill(direct)

    first, *_, last = lines(exported(direct))
    header = first["header"]
    assert (header["format"], header["revision"]) == (1, HEAD)
    assert header["database"] == direct.name
    assert "secret" not in header["database"]
    assert header["at"].endswith("Z")
    assert header["parts"] == [part.name for part in content.PARTS]
    assert last["end"]["rows"] == {part: len(rows.get(part, [])) for part in header["parts"]}
    assert dict(counted(direct, EVERYTHING)) == last["end"]["rows"]


def test_json_is_written_as_json_and_other_bytes_as_base64(direct: DirectStore) -> None:
    content.write(
        direct, {"tasks": [content.task(payload=b'{"to": "ada"}'), content.task(payload=b"\xff")]}
    )

    payloads = [line["tasks"]["payload"] for line in lines(exported(direct)) if "tasks" in line]
    assert payloads == [{"json": {"to": "ada"}}, {"base64": "/w=="}]


def test_instants_are_in_utc(direct: DirectStore) -> None:
    content.write(direct, {"tasks": [content.task()]})

    [row] = [line["tasks"] for line in lines(exported(direct)) if "tasks" in line]
    assert row["created_at"] == "2026-01-31T08:00:00.123456Z"


def test_an_export_is_of_one_moment_whatever_is_written_meanwhile(direct: DirectStore) -> None:
    content.write(direct, {"tasks": [content.task() for _ in range(250)]})
    stream = io.BytesIO()
    told = []

    def enqueue(_: int) -> None:
        """After each page, in a transaction that must not wait for the export."""
        new = [NewTask(name="late", payload=b"{}")]
        told.append(producer.submit(direct.enqueue, new).result(10))

    with ThreadPoolExecutor(1) as producer:
        export(direct, stream, Selection(only=["tasks"]), advance=enqueue)

    assert len(told) > 1
    names = [line["tasks"]["task_name"] for line in lines(stream) if "tasks" in line]
    assert names == ["send"] * 250


def test_large_tables_are_read_in_pages(direct: DirectStore) -> None:
    failed = content.dead()
    rows = {
        "tasks": [content.task() for _ in range(2_345)],
        "dead": [failed],
        "attempts": [content.attempt(failed["id"], lease) for lease in range(1_234)],
    }
    content.write(direct, rows)
    sizes: list[int] = []
    stream = io.BytesIO()
    export(direct, stream, advance=sizes.append)

    assert max(sizes) <= 1_000
    ids = [line["tasks"]["id"] for line in lines(stream) if "tasks" in line]
    assert ids == [str(row["id"]) for row in rows["tasks"]]
    leases = [line["attempts"]["lease"] for line in lines(stream) if "attempts" in line]
    assert leases == list(range(1_234))


def test_blocked_tasks_go_before_those_they_wait_for(direct: DirectStore) -> None:
    content.write(direct, {"tasks": [content.task(), content.task(state="blocked", waits_for=1)]})

    states = [line["tasks"]["state"] for line in lines(exported(direct)) if "tasks" in line]
    assert states == ["blocked", "pending"]


def test_filters_choose_tasks_and_what_belongs_to_them(direct: DirectStore) -> None:
    rows = content.fill(direct)
    [failed] = rows["dead"]

    found = lines(exported(direct, Selection(states=[TaskState.FAILED], queue="emails")))
    parts = [next(iter(line)) for line in found]
    assert parts == ["header", "attempts", "attempts", "dead", "end"]
    assert found[0]["header"]["chosen"] == {"state": ["failed"], "queue": ["emails"]}
    assert found[3]["dead"]["id"] == str(failed["id"])

    found = lines(exported(direct, Selection(only=["tasks", "results"], name="nobody")))
    assert [next(iter(line)) for line in found] == ["header", "end"]

    found = lines(exported(direct, Selection(queue="paused")))
    assert [next(iter(line)) for line in found] == ["header", "queues", "end"]


def test_what_would_hold_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--only queues and --state failed exclude"):
        _ = Selection(only=["queues"], states=[TaskState.FAILED]).parts
    with pytest.raises(ConfigurationError, match=r"no part 'task'. Did you mean 'tasks'"):
        _ = Selection(only=["task"]).parts
