"""``celers task logs`` and the log in ``celers task show``."""

from __future__ import annotations

import signal
from uuid import UUID

import pytest

from celers_worker.core.run_log import RunLog
from celers_worker.core.task import new_id
from celers_worker.store import run_logs
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, started
from tests.services.desk import a_task
from tests.waiting import eventually_sync

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def logged(direct: DirectStore, task_id: UUID, *texts: str, lease: int = 1) -> None:
    """Let a run have logged so much, of which four lines are kept."""
    log = RunLog(lines=4, size=10_000)
    for number, text in enumerate(texts):
        log.add(1_700_000_000.0 + number, "info", text)
    task = a_task(id=task_id, lease=lease, retry_count=lease - 1)
    direct.run(run_logs.keep, "worker-1", [(task, log.written())])


def test_the_log_is_shown_run_by_run(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)
    logged(direct, task_id, "one", "two\x1b[31m\nof two lines")
    logged(direct, task_id, *(f"line {number}" for number in range(10)), lease=2)

    assert done("task", "logs", str(task_id)).lines == [
        "attempt 1, worker worker-1",
        "  2023-11-14T22:13:20.000Z info     one",
        "  2023-11-14T22:13:21.000Z info     two\\x1b[31m",
        "    of two lines",
        "attempt 2, worker worker-1",
        "  2023-11-14T22:13:20.000Z info     line 0",
        "  2023-11-14T22:13:21.000Z info     line 1",
        "  … 6 lines not kept …",
        "  2023-11-14T22:13:28.000Z info     line 8",
        "  2023-11-14T22:13:29.000Z info     line 9",
    ]
    assert done("task", "logs", str(task_id), "--attempt", "1").lines[0].startswith("attempt 1")
    page = done("task", "show", str(task_id)).out
    assert "log of attempt 1\n  2023-11-14T22:13:20.000Z info     one\n" in page
    assert "… 6 lines not kept …" in page


def test_programs_read_the_same(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)
    logged(direct, task_id, *(f"line {number}" for number in range(10)))
    [log] = done("task", "logs", str(task_id), "--format", "json").json
    assert [line["text"] for line in log["lines"]] == ["line 0", "line 1", "line 8", "line 9"]
    assert (log["attempt"], log["dropped"], log["dropped_after"]) == (1, 6, 2)
    assert log["lines"][0]["at"] == "2023-11-14T22:13:20Z"
    assert done("task", "show", str(task_id), "--format", "json").json["logs"] == [log]


@on_sqlite
def test_who_follows_sees_each_line_once_until_the_task_has_ended(direct: DirectStore) -> None:
    task_id = rows.running(direct)
    logged(direct, task_id, "one")
    with started("task", "logs", "--follow", str(task_id), stdout=-1) as process:
        shown: list[str] = []
        assert process.stdout is not None

        def read(lines: int) -> None:
            assert process.stdout is not None
            while len(shown) < lines:
                shown.append(process.stdout.readline().split()[-1])

        read(2)
        logged(direct, task_id, "one", "two", "three")
        read(4)
        logged(direct, task_id, *("one", "two", "three", "four", "five", "six", "seven"))
        read(7)
        rows.bury(direct, [task_id])
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
    assert shown == ["worker-1", "one", "two", "three", "…", "six", "seven"]


@on_sqlite
def test_ctrl_c_ends_it(direct: DirectStore) -> None:
    task_id = rows.running(direct)
    logged(direct, task_id, "one")
    with started("task", "logs", "-f", str(task_id), stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        eventually_sync(lambda: process.poll() is not None, within=30)
        assert process.returncode == 130


@on_sqlite
def test_wrong_usage_is_said(direct: DirectStore) -> None:
    unknown = celers("task", "logs", str(new_id()))
    assert (unknown.code, "there is no task" in unknown.err) == (1, True)
    [task_id] = rows.waiting(direct)
    both = celers("task", "logs", "-f", "--format", "json", str(task_id))
    assert (both.code, "--follow has no end" in both.err) == (2, True)
    nothing = done("task", "logs", str(task_id))
    assert (nothing.out, "Nothing was logged" in nothing.err) == ("", True)
