from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from celers_worker import Celers, Worker, backoff
from celers_worker.config import load_config
from celers_worker.core import events as fact
from celers_worker.core.errors import Unavailable
from celers_worker.core.events import Events
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Failure,
    Outcome,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.task import new_id
from celers_worker.core.watch_events import PoolerSuspected, RunLogsLost
from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs
from celers_worker.observe.logs import listen
from tests.services.crews import locked
from tests.services.desk import a_task
from tests.waiting import eventually

TASK = a_task("send", queue="emails")
FAILURE = Failure("ValueError", "no such user", "Traceback …")
OF_TASK = {"task": "send", "id": str(TASK.id), "queue": "emails", "attempt": 1}


class Log:
    """What a worker of some level and style says."""

    def __init__(self, level: str = "info", style: str = "json") -> None:
        self.stream = io.StringIO()
        self.events = Events()
        configure_logs(level, style, self.stream)
        listen(self.events, level=level)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def line_of(self, event: object) -> dict[str, Any]:
        self.events.emit(event)
        [line] = self.lines
        return {key: value for key, value in line.items() if key != "timestamp"}


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def settled(outcome: Outcome) -> fact.TasksSettled:
    return fact.TasksSettled([Settlement(TASK, outcome)], 0.01)


BURIED = new_id()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINES: dict[str, tuple[object, dict[str, Any]]] = {
    "worker started": (
        fact.WorkerStarted("0190", "mail-1", "PostgreSQL 15.1 at postgresql://h/d", [], 3, 100),
        {
            "level": "info",
            "event": "worker started",
            "worker": "0190",
            "name": "mail-1",
            "database": "PostgreSQL 15.1 at postgresql://h/d",
            "queues": "all",
            "handlers": 3,
            "concurrency": 100,
        },
    ),
    "worker stopping": (
        fact.WorkerStopping("SIGTERM", 4),
        {"level": "info", "event": "worker stopping", "reason": "SIGTERM", "running": 4},
    ),
    "worker stopped": (
        fact.WorkerStopped(3, 1, 12.34567),
        {
            "level": "info",
            "event": "worker stopped",
            "released": 3,
            "abandoned": 1,
            "seconds": 12.346,
        },
    ),
    "supervisor started": (
        fact.SupervisorStarted(4),
        {"level": "info", "event": "supervisor started", "processes": 4},
    ),
    "process died": (
        fact.ProcessDied("mail-2", 4711, "SIGKILL", 12.34567, 2.0),
        {
            "level": "error",
            "event": "worker process died, will be replaced",
            "process": "mail-2",
            "pid": 4711,
            "exit": "SIGKILL",
            "seconds": 12.3,
            "again_in": 2.0,
        },
    ),
    "supervisor stopping": (
        fact.SupervisorStopping("SIGTERM", 4),
        {"level": "info", "event": "supervisor stopping", "reason": "SIGTERM", "running": 4},
    ),
    "supervisor stopped": (
        fact.SupervisorStopped([], 12.34567),
        {"level": "info", "event": "supervisor stopped", "killed": [], "seconds": 12.346},
    ),
    "supervisor killed": (
        fact.SupervisorStopped(["mail-2"], 12.34567),
        {"level": "error", "event": "supervisor stopped", "killed": ["mail-2"], "seconds": 12.346},
    ),
    "retry": (
        settled(Retry(timedelta(seconds=2), FAILURE)),
        {
            "level": "warning",
            "event": "task failed, will be tried again",
            "error": "ValueError: no such user",
            "again_in": 2.0,
        }
        | OF_TASK,
    ),
    "dead": (
        settled(Dead("attempt 1 of 1 failed", FAILURE)),
        {
            "level": "error",
            "event": "task is dead",
            "reason": "attempt 1 of 1 failed",
            "error": "ValueError: no such user",
        }
        | OF_TASK,
    ),
    "cancelled": (
        settled(Cancelled("nobody wants it")),
        {"level": "info", "event": "task cancelled", "reason": "nobody wants it"} | OF_TASK,
    ),
    "expired": (
        settled(Expired()),
        {"level": "info", "event": "task expired before it was started"} | OF_TASK,
    ),
    "refused": (
        fact.SettleRefused([Settlement(TASK, Completed())]),
        {
            "level": "warning",
            "event": "outcome refused: the lease was lost",
            "outcome": "completed",
        }
        | OF_TASK,
    ),
    "parked": (
        fact.TaskParked(TASK, " Did you mean 'sent'?"),
        {
            "level": "warning",
            "event": "tasks parked: no handler has their name",
            "hint": "Did you mean 'sent'?",
        }
        | OF_TASK,
    ),
    "leases lost": (
        fact.LeasesLost([TASK, TASK], "the worker's lease ran out"),
        {
            "level": "error",
            "event": "leases lost",
            "tasks": 2,
            "reason": "the worker's lease ran out",
        },
    ),
    "abandoned": (
        fact.TaskAbandoned(TASK, "the worker is stopping"),
        {"level": "error", "event": "handler did not stop", "reason": "the worker is stopping"}
        | OF_TASK,
    ),
    "reaped": (
        fact.TasksReaped([new_id(), new_id()], [BURIED]),
        {
            "level": "warning",
            "event": "tasks of lost workers taken back",
            "released": 2,
            "buried": [str(BURIED)],
        },
    ),
    "frozen sessions": (
        fact.FrozenSessionsEnded(2),
        {"level": "warning", "event": "database sessions of frozen clients ended", "sessions": 2},
    ),
    "recovered": (
        fact.TasksRecovered(2),
        {
            "level": "warning",
            "event": "tasks of a claim without an answer given back",
            "tasks": 2,
        },
    ),
    "workflows timed out": (
        fact.WorkflowsTimedOut([BURIED]),
        {
            "level": "warning",
            "event": "workflows stopped at their timeouts",
            "workflows": [str(BURIED)],
        },
    ),
    "schedules declared": (
        fact.SchedulesDeclared(["nightly"]),
        {"level": "info", "event": "schedules declared", "schedules": ["nightly"]},
    ),
    "ticks missed": (
        fact.TicksMissed("nightly", NOON, NOON + timedelta(hours=1)),
        {
            "level": "warning",
            "event": "ticks missed, given up",
            "schedule": "nightly",
            "since": "2026-01-01T12:00:00+00:00",
            "until": "2026-01-01T13:00:00+00:00",
        },
    ),
    "ticks overlapped": (
        fact.TicksOverlapped("nightly", 2),
        {
            "level": "info",
            "event": "ticks given up: the last task has not ended",
            "schedule": "nightly",
            "ticks": 2,
        },
    ),
    "schedule unreadable": (
        fact.ScheduleUnreadable("nightly", "no such zone"),
        {
            "level": "error",
            "event": "schedule left alone: it cannot be read here",
            "schedule": "nightly",
            "problem": "no such zone",
        },
    ),
    "service failed": (
        fact.ServiceFailed("poller", Unavailable("the database is away"), 1, 0.1234),
        {
            "level": "error",
            "event": "service failed, will be tried again",
            "service": "poller",
            "error": "Unavailable: the database is away",
            "failures": 1,
            "again_in": 0.12,
        },
    ),
    "service recovered": (
        fact.ServiceRecovered("poller", 3),
        {"level": "info", "event": "service works again", "service": "poller", "failures": 3},
    ),
    "logs lost": (
        RunLogsLost([TASK], ValueError("too large")),
        {
            "level": "error",
            "event": "logs of handlers cannot be kept",
            "tasks": 1,
            "error": "ValueError: too large",
        },
    ),
    "pooler": (
        PoolerSuspected("postgresql://h/d", "statement_timeout is 0 ms"),
        {
            "level": "warning",
            "event": "a connection pooler seems to stand before the database",
            "hint": 'set pooler = "transaction" in [database], or connect past it',
            "sign": "statement_timeout is 0 ms",
            "database": "postgresql://h/d",
        },
    ),
    "loop blocked": (
        fact.LoopBlocked(1.234, ["tasks.py:12 work"]),
        {
            "level": "error",
            "event": "the event loop is blocked by a handler",
            "seconds": 1.2,
            "at": ["tasks.py:12 work"],
        },
    ),
}
DETAILS: dict[str, tuple[object, dict[str, Any]]] = {
    "task started": (
        fact.TaskStarted(TASK),
        {"level": "debug", "event": "task started"} | OF_TASK,
    ),
    "task ended": (
        fact.TaskEnded(Settlement(TASK, Completed()), 0.123456),
        {"level": "debug", "event": "task ended", "outcome": "completed", "seconds": 0.1235}
        | OF_TASK,
    ),
    "upkeep": (
        fact.DutyDone("archive", 3),
        {"level": "debug", "event": "upkeep done", "duty": "archive", "tasks": 3},
    ),
    "pruned": (
        fact.TasksPruned({"completed": 3}),
        {"level": "debug", "event": "finished tasks pruned", "completed": 3},
    ),
    "fired": (
        fact.TicksFired("nightly", [BURIED], 0.12345),
        {
            "level": "debug",
            "event": "schedule fired",
            "schedule": "nightly",
            "ids": [str(BURIED)],
            "late": 0.123,
        },
    ),
}
SILENT = [settled(Completed()), settled(Release()), fact.TasksClaimed([TASK], 0.1)]


@pytest.mark.parametrize(("event", "line"), LINES.values(), ids=LINES)
def test_each_event_has_its_line(event: object, line: dict[str, Any]) -> None:
    assert Log().line_of(event) == line


@pytest.mark.parametrize(("event", "line"), DETAILS.values(), ids=DETAILS)
def test_what_happens_to_each_task_is_only_told_at_debug(
    event: object, line: dict[str, Any]
) -> None:
    assert Log("debug").line_of(event) == line
    quiet = Log()
    assert not quiet.events.wants(type(event)), "an event for each task is not even made"


@pytest.mark.parametrize("event", SILENT, ids=lambda event: type(event).__name__)
def test_what_goes_as_it_should_is_not_worth_a_line(event: object) -> None:
    log = Log()
    log.events.emit(event)
    assert not log.text


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_level_leaves_out_what_is_less_important(level: str) -> None:
    log = Log(level)
    for event, _ in LINES.values():
        log.events.emit(event)
    order = ["info", "warning", "error"]
    assert {line["level"] for line in log.lines} == set(order[order.index(level) :])


@pytest.mark.parametrize(("event", "line"), LINES.values(), ids=LINES)
def test_a_person_reads_the_same_on_a_console(event: object, line: dict[str, Any]) -> None:
    log = Log(style="console")
    log.events.emit(event)
    [text] = log.text.splitlines()
    assert line["event"] in text
    assert "\x1b" not in text, "no colours where there is no terminal"
    for key in line.keys() - {"event", "level"}:
        assert f"{key}=" in text


def test_every_json_line_has_a_time_in_utc() -> None:
    log = Log()
    log.events.emit(LINES["worker stopping"][0])
    assert log.lines[0]["timestamp"].endswith("Z")


def test_one_of_several_processes_says_which_one_it_is() -> None:
    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    writes: list[str] = []
    configure_logs("info", "json", Stream(), process="mail-2")
    structlog.get_logger().info("hello")
    [line] = writes  # in one piece, so that the lines of several processes do not mix
    assert json.loads(line)["process"] == "mail-2"
    assert line.endswith("}\n")


def test_a_line_about_a_task_names_the_trace_that_led_to_it() -> None:
    log = Log()
    traced = a_task("send", metadata={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    log.events.emit(fact.TaskAbandoned(traced, "why"))
    assert log.lines[0]["trace"] == "ab" * 16


def test_a_line_for_machines_names_the_worker() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream, worker="mail-1")
    structlog.get_logger().info("hello")
    assert json.loads(stream.getvalue())["worker"] == "mail-1"


def test_a_text_with_line_breaks_stays_on_one_line() -> None:
    log = Log()
    log.events.emit(settled(Dead("a\nb", Failure("E", "x\r\ny", "trace"))))
    assert len(log.text.splitlines()) == 1


def test_a_name_that_nobody_handles_is_told_of_once() -> None:
    log = Log()
    for _ in range(1_000):
        log.events.emit(fact.TaskParked(TASK, ""))
    assert len(log.lines) == 1


def test_an_outage_does_not_fill_the_disk() -> None:
    log = Log()
    for failures in range(1, 1_001):
        log.events.emit(fact.ServiceFailed("poller", Unavailable("away"), failures, 4.0))
    assert [line["failures"] for line in log.lines] == [2**n for n in range(10)]


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    log = Log()
    log.stream.close()
    log.events.emit(LINES["worker started"][0])


def worker_on(url: str, log: Log, **flags: object) -> tuple[Celers, Worker]:
    app = Celers()
    flags = {"database.url": url, "worker.heartbeat_interval": "200ms"} | flags
    config = load_config(environment={}, flags=flags).config
    return app, Worker(app, config, events=log.events)


@pytest.mark.parametrize("style", ["json", "console"])
async def test_a_real_worker_tells_its_story_and_no_secret(migrated_url: str, style: str) -> None:
    log = Log("debug", style)
    app, worker = worker_on(migrated_url, log, **{"database.call_timeout": "1s"})

    @app.task()
    async def greet(name: str) -> str:
        return f"hello {name}"

    @app.task(max_retries=1, backoff=backoff.immediate())
    def broken() -> None:
        raise ValueError("no such user")

    async with worker:
        assert await (await greet.enqueue("private-argument")).result(10) is not None
        dead = await broken.enqueue()
        await app.enqueue("unknown")
        async with locked(migrated_url, "celers_workers"):
            await eventually(lambda: "service failed, will be tried again" in log.text)
        await eventually(lambda: "service works again" in log.text)
        await eventually(lambda: "task is dead" in log.text)
        assert await dead.state() == "failed"
    await app.close()
    for words in (
        "worker started",
        "task started",
        "task ended",
        "task failed, will be tried again",
        "tasks parked",
        "worker stopping",
        "worker stopped",
    ):
        assert words in log.text
    assert "secret" not in log.text, "the password of the MariaDB server"
    assert "private-argument" not in log.text


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_at_info_a_task_that_goes_well_costs_no_line(migrated_url: str) -> None:
    log = Log()
    app, worker = worker_on(migrated_url, log)

    @app.task()
    async def work() -> None:
        await asyncio.sleep(0)

    async with worker:
        await (await work.enqueue()).result(10)
    await app.close()
    assert [line["event"] for line in log.lines] == [
        "worker started",
        "worker stopping",
        "worker stopped",
    ]


@pytest.fixture
def quiet_standard_library() -> Iterator[None]:
    """Leave the logging of the test run as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def test_what_libraries_and_handlers_log_takes_the_same_form(
    quiet_standard_library: None,
) -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    adopt_foreign_logs("info")

    logging.getLogger("shop.orders").warning("%s is out of stock", "tea")
    try:
        raise ValueError("no tea")
    except ValueError:
        logging.getLogger("shop.orders").exception("brewing failed")

    said, failed = map(json.loads, stream.getvalue().splitlines())
    assert (said["event"], said["logger"], said["level"]) == (
        "tea is out of stock",
        "shop.orders",
        "warning",
    )
    assert "ValueError: no tea" in failed["exception"]
