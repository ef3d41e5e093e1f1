"""What a run comes to."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from celers_worker import Cancel, Celers, Context, Dead, Retry, Snooze, backoff
from celers_worker.core import outcome as out
from celers_worker.core.events import TaskAbandoned, TaskEnded, TaskParked, TaskStarted
from celers_worker.services.run import Run
from tests.services.desk import Desk, a_task
from tests.waiting import eventually, eventually_sync


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class EndsTheProcessWhenPrinted(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class UnprintableCancel(Cancel):
    def __str__(self) -> str:
        raise RuntimeError("no words")


# --- what a handler returns ---


async def test_a_coroutine_is_awaited_and_its_value_kept(desk: Desk) -> None:
    async def handler(to: str) -> str:
        await asyncio.sleep(0)
        return f"hello {to}"

    assert await desk.run_handler(handler, payload=b'{"to": "ada"}') == out.Completed(
        b'"hello ada"'
    )


async def test_a_plain_function_runs_in_a_thread_of_its_own(desk: Desk) -> None:
    def handler() -> bool:
        return threading.current_thread() is not threading.main_thread()

    assert await desk.run_handler(handler) == out.Completed(b"true")


@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_a_handler_that_returns_nothing_has_no_result(desk: Desk, runs: str) -> None:
    def plain() -> None: ...
    async def coroutine() -> None: ...

    handler = plain if runs == "thread" else coroutine
    assert await desk.run_handler(handler) == out.Completed(None)


def numbers() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        float("nan"),
        [1.0, float("-inf")],
        {1: "a key that is no text"},
        numbers(),
        "x" * (20 * 1024 * 1024),
        "a NUL: \0",
        "a lone surrogate: \ud800",
    ],
    ids=["object", "set", "nan", "infinity", "keys", "generator", "20MB", "NUL", "surrogate"],
)
async def test_a_result_that_cannot_be_stored_buries_the_task_and_does_not_repeat_its_work(
    desk: Desk, value: object
) -> None:
    calls = []

    async def handler() -> object:
        calls.append(1)
        return value

    outcome = await desk.run_handler(handler, max_retries=10)
    assert isinstance(outcome, out.Dead)
    assert outcome.reason == "its result cannot be stored"
    assert outcome.failure.message.startswith("result")
    assert len(calls) == 1


# --- what a handler raises ---


@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_an_exception_is_retried_after_the_handlers_backoff(desk: Desk, runs: str) -> None:
    # T31
    def plain() -> None:
        raise ValueError("no such user")

    async def coroutine() -> None:
        raise ValueError("no such user")

    handler = plain if runs == "thread" else coroutine
    outcome = await desk.run_handler(handler, backoff=backoff.linear("10s"), retry_count=1)
    assert isinstance(outcome, out.Retry)
    assert outcome.delay == timedelta(seconds=20)
    assert str(outcome.failure) == "ValueError: no such user"
    assert 'raise ValueError("no such user")' in outcome.failure.traceback


@pytest.mark.parametrize(
    ("retry_count", "crash_count", "max_retries", "final"),
    [(0, 0, 0, True), (0, 0, 1, False), (1, 0, 1, True), (0, 1, 1, True), (2, 1, 4, False)],
)
async def test_a_task_whose_attempts_are_used_up_is_dead(
    desk: Desk, retry_count: int, crash_count: int, max_retries: int, final: bool
) -> None:
    async def handler() -> None:
        raise ValueError("no such user")

    outcome = await desk.run_handler(
        handler, retry_count=retry_count, crash_count=crash_count, max_retries=max_retries
    )
    assert isinstance(outcome, out.Dead if final else out.Retry)


async def test_an_exception_that_is_never_worth_a_retry_buries_at_once(desk: Desk) -> None:
    async def handler() -> None:
        raise KeyError("user")

    outcome = await desk.run_handler(handler, dead_on=LookupError, max_retries=10)
    assert isinstance(outcome, out.Dead)
    assert outcome.reason == "KeyError is not retried"


async def test_only_the_exceptions_that_are_worth_it_are_retried(desk: Desk) -> None:
    async def handler() -> None:
        raise KeyError("user")

    outcome = await desk.run_handler(handler, retry_on=OSError, max_retries=10)
    assert isinstance(outcome, out.Dead)


async def test_a_single_exception_can_have_a_backoff_of_its_own(desk: Desk) -> None:
    async def handler() -> None:
        raise ConnectionRefusedError

    outcome = await desk.run_handler(
        handler,
        backoff_on={OSError: backoff.fixed("5s"), ConnectionError: backoff.fixed("7s")},
    )
    assert isinstance(outcome, out.Retry)
    assert outcome.delay == timedelta(seconds=7)


async def test_a_backoff_that_fails_itself_does_not_lose_the_task(desk: Desk) -> None:
    async def handler() -> None:
        raise ValueError

    def broken(failures: int) -> float:
        raise ZeroDivisionError

    outcome = await desk.run_handler(handler, backoff=backoff.custom(broken))
    assert isinstance(outcome, out.Retry)


@pytest.mark.parametrize(
    ("signal", "outcome"),
    [
        (Snooze("1h"), out.Release(timedelta(hours=1), "snoozed")),
        (Snooze(0, "at once"), out.Release(timedelta(0), "at once")),
        (Cancel("nobody wants it"), out.Cancelled("nobody wants it")),
    ],
    ids=["snooze", "snooze-0", "cancel"],
)
@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_a_signal_steers_the_task(
    desk: Desk, signal: Exception, outcome: out.Outcome, runs: str
) -> None:
    def plain() -> None:
        raise signal

    async def coroutine() -> None:
        raise signal

    handler = plain if runs == "thread" else coroutine
    assert await desk.run_handler(handler, max_retries=0) == outcome


async def test_a_handler_can_choose_the_wait_before_its_retry(desk: Desk) -> None:
    async def handler() -> None:
        raise Retry("rate limit", after="42s")

    outcome = await desk.run_handler(handler, dead_on=Exception)
    assert isinstance(outcome, out.Retry)
    assert outcome.delay == timedelta(seconds=42)


async def test_a_retry_that_is_asked_for_counts_as_an_attempt(desk: Desk) -> None:
    async def handler() -> None:
        raise Retry("rate limit", after="42s")

    outcome = await desk.run_handler(handler, max_retries=2, retry_count=2)
    assert isinstance(outcome, out.Dead)


async def test_a_handler_can_give_up(desk: Desk) -> None:
    async def handler() -> None:
        raise Dead("the user is gone")

    outcome = await desk.run_handler(handler, max_retries=10)
    assert isinstance(outcome, out.Dead)
    assert outcome.reason == "the user is gone"


@pytest.mark.parametrize(
    "signal",
    [
        Cancel("bad \0 reason \ud800" + "x" * 100_000),
        Snooze(1, "bad \0 reason \ud800" + "x" * 100_000),
        Dead("bad \0 reason \ud800" + "x" * 100_000),
        UnprintableCancel(),
    ],
    ids=["cancel", "snooze", "dead", "unprintable"],
)
async def test_a_reason_that_no_database_holds_is_made_storable(
    desk: Desk, signal: Exception
) -> None:
    async def handler() -> None:
        raise signal

    outcome = await desk.run_handler(handler)
    reason: Any = outcome.reason  # type: ignore[union-attr]  # each of these outcomes has one
    assert len(reason) < 10_000
    assert "\0" not in reason
    reason.encode("utf-8")


OUTRAGEOUS: list[BaseException] = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration(1),
    asyncio.CancelledError(),
    BaseExceptionGroup("both", [SystemExit(), ValueError()]),
    Unprintable(),
    EndsTheProcessWhenPrinted(),
    ValueError("x" * 50_000_000),
    ValueError("\0 and \ud800"),
    MemoryError(),
    RecursionError(),
]


@pytest.mark.parametrize("error", OUTRAGEOUS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_whatever_a_handler_raises_frees_its_slot_and_leaves_the_worker_alive(
    desk: Desk, error: BaseException, runs: str
) -> None:
    # T10
    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    handler = plain if runs == "thread" else coroutine
    outcome = await desk.run_handler(handler)
    assert isinstance(outcome, out.Retry)
    for text in (outcome.failure.type, outcome.failure.message, outcome.failure.traceback):
        assert len(text) <= out.TRACEBACK_LIMIT
        assert "\0" not in text
        text.encode("utf-8")

    @desk.app.task()
    async def innocent() -> int:
        return 1

    assert await desk.run(a_task("innocent")) == out.Completed(b"1")


# --- arguments ---


async def test_arguments_and_context_are_bound_by_name(desk: Desk) -> None:
    async def handler(a: int, *, b: str = "default", context: Context) -> list[object]:
        return [a, b, context.attempt, context.idempotency_key]

    task = a_task(payload=b'{"a": 1}', retry_count=2)
    desk.app.task(name="work")(handler)
    outcome = await desk.run(task)
    assert outcome == out.Completed(f'[1,"default",3,"{task.id}"]'.encode())


@pytest.mark.parametrize(
    "payload",
    [b"{}", b'{"a": 1, "b": 2}', b'{"b": 1}', b"[]", b"[1, 2]", b"null"],
    ids=["none", "more", "other", "no-positional", "positional", "null"],
)
async def test_arguments_that_do_not_fit_bury_the_task_and_call_nothing(
    desk: Desk, payload: bytes
) -> None:
    called = []

    async def handler(a: int) -> None:
        called.append(a)

    outcome = await desk.run_handler(handler, payload=payload, max_retries=10)
    assert isinstance(outcome, out.Dead)
    assert outcome.reason == "its arguments do not fit the handler"
    assert "work(a" in outcome.failure.message
    assert not called


@pytest.mark.parametrize(
    "payload", [b"\xff\xfe\0", b"", b"{", b"[" * 100_000], ids=["bytes", "empty", "cut", "deep"]
)
async def test_a_payload_that_is_no_json_is_buried_where_no_bytes_are_expected(
    desk: Desk, payload: bytes
) -> None:
    async def handler() -> None: ...

    outcome = await desk.run_handler(handler, payload=payload, max_retries=10)
    assert isinstance(outcome, out.Dead)
    assert outcome.reason == "its arguments do not fit the handler"


async def test_a_payload_that_is_no_json_is_one_argument_of_bytes(desk: Desk) -> None:
    async def handler(data: bytes) -> str:
        return data.hex()

    assert await desk.run_handler(handler, payload=b"\xff\xfe") == out.Completed(b'"fffe"')


# --- tasks that are not run ---


async def test_a_task_without_a_handler_is_given_back_and_its_name_not_claimed_again(
    desk: Desk,
) -> None:
    # T34
    desk.app.task(name="send_welcome")(lambda: None)
    outcome = await desk.run(a_task("send_welcom"))
    assert isinstance(outcome, out.Release)
    assert outcome.delay is None
    assert outcome.reason == ("no handler is called 'send_welcom'. Did you mean 'send_welcome'?")
    assert desk.permits.demand().excluded == {"send_welcom"}
    assert desk.seen.one(TaskParked).suggestion == " Did you mean 'send_welcome'?"


async def test_an_expired_task_is_not_run(desk: Desk) -> None:
    called = []
    outcome = await desk.run_handler(lambda: called.append(1), expired=True)
    assert outcome == out.Expired()
    assert not called


async def test_a_task_that_arrives_after_the_end_was_announced_is_given_back_unrun(
    desk: Desk,
) -> None:
    called = []
    desk.runner.quiet()
    assert await desk.run_handler(lambda: called.append(1)) == out.Release()
    assert not called
    assert desk.runner.released == 1


# --- timeouts ---


async def test_a_coroutine_that_takes_too_long_fails_with_a_timeout(desk: Desk) -> None:
    async def handler() -> None:
        await asyncio.Event().wait()

    outcome = await desk.run_handler(handler, timeout="20ms")
    assert isinstance(outcome, out.Retry)
    assert str(outcome.failure) == "TimeoutError: ran longer than its timeout of 20ms"


async def test_a_timeout_is_dead_where_timeouts_are_not_worth_a_retry(desk: Desk) -> None:
    async def handler() -> None:
        await asyncio.Event().wait()

    outcome = await desk.run_handler(handler, timeout="20ms", dead_on=TimeoutError)
    assert isinstance(outcome, out.Dead)


async def test_a_tasks_own_timeout_goes_before_its_handlers(desk: Desk) -> None:
    async def handler() -> None:
        await asyncio.Event().wait()

    desk.app.task(name="work", timeout="1h")(handler)
    outcome = await desk.run(a_task(timeout=0.02))
    assert isinstance(outcome, out.Retry)


async def test_a_worker_has_a_timeout_for_those_that_have_none() -> None:
    async def handler() -> None:
        await asyncio.Event().wait()

    desk = Desk(Celers(), timeout=timedelta(milliseconds=20))
    outcome = await desk.run_handler(handler)
    assert isinstance(outcome, out.Retry)
    await desk.close()


async def test_a_thread_that_takes_too_long_is_left_behind_and_keeps_its_permit(
    desk: Desk,
) -> None:
    finish = threading.Event()
    told = threading.Event()

    def handler(context: Context) -> None:
        told.set() if _becomes_stopped(context) else None
        finish.wait(10)

    desk.app.task(name="work", timeout="20ms")(handler)
    task = a_task()
    desk.start(task)
    await eventually(lambda: desk.outcomes)
    outcome = desk.outcome(task)
    assert isinstance(outcome, out.Retry)
    assert outcome.failure.type == "TimeoutError"
    assert desk.seen.one(TaskAbandoned).task is task
    assert desk.permits.in_use == 1, "the thread still runs"
    await eventually(told.is_set)
    finish.set()
    await eventually(desk.is_idle)
    assert len(desk.outcomes) == 1


def _becomes_stopped(context: Context) -> bool:
    return eventually_sync(lambda: context.stopped, within=5)


async def test_a_thread_that_looks_whether_it_should_stop_can_end_early(desk: Desk) -> None:
    runs = threading.Event()

    def handler(context: Context) -> str:
        assert not context.stopped
        runs.set()
        assert _becomes_stopped(context)
        return "ended early"

    desk.app.task(name="work")(handler)
    desk.start(task := a_task())
    await eventually(runs.is_set)
    desk.runner.cancel(task.id, "nobody wants it")
    await eventually(desk.is_idle)
    assert desk.outcome(task) == out.Cancelled("nobody wants it")


async def test_a_thread_that_ends_in_its_grace_without_having_looked_has_done_its_work(
    desk: Desk,
) -> None:
    runs, finish = threading.Event(), threading.Event()

    def handler() -> str:
        runs.set()
        finish.wait(10)
        return "done"

    async def coroutine() -> None:
        await asyncio.Event().wait()

    desk.app.task(name="work")(handler)
    desk.app.task(name="other")(coroutine)
    desk.start(task := a_task())
    desk.start(other := a_task("other"))
    await eventually(runs.is_set)
    desk.runner.stop_all("the worker is stopping")
    # The coroutine has been told, and so has the thread: it would run elsewhere while it runs here.
    await eventually(lambda: desk.outcomes)
    assert [one.task for one in desk.outcomes] == [other]
    finish.set()
    await eventually(desk.is_idle)
    assert desk.outcome(task) == out.Completed(b'"done"')


async def test_a_coroutine_that_swallows_its_cancellation_is_abandoned_and_keeps_its_permit(
    desk: Desk,
) -> None:
    finish = asyncio.Event()

    async def stubborn() -> str:
        while not finish.is_set():
            try:
                await finish.wait()
            except asyncio.CancelledError:
                continue
        return "too late"

    desk.app.task(name="work", timeout="20ms")(stubborn)
    task = a_task()
    desk.start(task)
    await eventually(lambda: desk.seen.of(TaskAbandoned))
    assert isinstance(desk.outcome(task), out.Retry)
    assert desk.permits.in_use == 1, "the coroutine still runs"
    finish.set()
    await eventually(desk.is_idle)
    assert len(desk.outcomes) == 1, "what it returns in the end counts no more"


async def test_a_handler_may_finish_its_work_when_it_is_told_to_stop(desk: Desk) -> None:
    started = asyncio.Event()

    async def handler() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "saved"
        return "never"

    desk.app.task(name="work")(handler)
    desk.start(task := a_task())
    await started.wait()
    desk.runner.stop_all("the worker is stopping")
    await eventually(desk.is_idle)
    assert desk.outcome(task) == out.Completed(b'"saved"')


async def test_a_task_that_waits_for_a_thread_can_be_stopped_before_it_has_one(
    desk: Desk,
) -> None:
    finish = threading.Event()
    called: list[int] = []
    desk.app.task(name="busy")(lambda: finish.wait(10) and None)
    desk.app.task(name="waits")(lambda: called.append(1))
    for _ in range(2):  # as many as there are threads
        desk.start(a_task("busy"))
    desk.start(waits := a_task("waits"))
    await asyncio.sleep(0)
    desk.runner.cancel(waits.id, "nobody wants it")
    await eventually(lambda: desk.outcomes)
    assert desk.outcome(waits) == out.Cancelled("nobody wants it")
    assert desk.permits.in_use == 2
    finish.set()
    await eventually(desk.is_idle)
    assert not called


# --- being told to stop ---


async def waiting_run(desk: Desk) -> Run:
    async def handler() -> None:
        await asyncio.Event().wait()

    desk.app.task(name="work")(handler)
    run = desk.start(a_task())
    assert run is not None
    await asyncio.sleep(0)
    return run


async def test_a_task_of_a_worker_that_stops_is_given_back_without_counting_the_attempt(
    desk: Desk,
) -> None:
    run = await waiting_run(desk)
    desk.runner.stop_all("the worker is stopping")
    assert await desk.runner.idle(1)
    assert desk.outcome(run.task) == out.Release(None, "the worker is stopping")
    assert desk.runner.released == 1


async def test_a_task_whose_lease_is_lost_is_given_back_though_it_will_be_refused(
    desk: Desk,
) -> None:
    run = await waiting_run(desk)
    desk.runner.lose([run.task.id], "another worker has taken it over")
    assert run.context.stopped
    await eventually(desk.is_idle)
    assert isinstance(desk.outcome(run.task), out.Release)


async def test_the_first_reason_to_stop_counts(desk: Desk) -> None:
    run = await waiting_run(desk)
    desk.runner.cancel(run.task.id, "nobody wants it")
    desk.runner.stop_all("the worker is stopping")
    await eventually(desk.is_idle)
    assert desk.outcome(run.task) == out.Cancelled("nobody wants it")


@pytest.mark.parametrize("runs", ["async", "thread"])
async def test_a_run_that_is_stopped_before_its_first_step_ends_all_the_same(
    desk: Desk, runs: str
) -> None:
    called = []

    def plain() -> None:
        called.append(1)

    async def coroutine() -> None:
        called.append(1)

    desk.app.task(name="work")(plain if runs == "thread" else coroutine)
    desk.start(task := a_task())
    desk.runner.stop_all("the worker is stopping")
    assert await desk.runner.idle(1)
    assert desk.outcome(task) == out.Release(None, "the worker is stopping")
    assert desk.is_idle()
    assert not called


async def test_stopping_a_task_that_is_not_here_does_nothing(desk: Desk) -> None:
    desk.runner.cancel(a_task().id, "nobody wants it")
    desk.runner.lose([a_task().id], "another worker has taken it over")
    assert desk.is_idle()
    assert not desk.seen.all


async def test_waiting_for_the_runs_to_end_is_bounded(desk: Desk) -> None:
    await waiting_run(desk)
    assert not await desk.runner.idle(0.02)
    desk.runner.stop_all("the worker is stopping")
    assert await desk.runner.idle(5)


async def test_runs_that_never_end_are_abandoned_and_counted(desk: Desk) -> None:
    finish = threading.Event()
    desk.app.task(name="work")(lambda: finish.wait(10) and None)
    desk.start(task := a_task())
    await eventually(lambda: desk.runner.running)
    assert desk.runner.abandon_all() == 1
    assert desk.runner.abandon_all() == 0
    assert desk.seen.one(TaskAbandoned).task is task
    assert desk.outcomes
    finish.set()
    await eventually(desk.is_idle)


# --- what is told ---


async def test_a_run_tells_of_its_start_and_its_end(desk: Desk) -> None:
    async def handler() -> int:
        return 1

    await desk.run_handler(handler)
    started, ended = desk.seen.all
    assert isinstance(started, TaskStarted)
    assert isinstance(ended, TaskEnded)
    assert ended.settlement.task is started.task
    assert 0 <= ended.seconds < 5


async def test_a_run_is_named_after_its_task_in_asyncios_own_tools(desk: Desk) -> None:
    execution = (await waiting_run(desk)).execution
    assert execution is not None
    [task] = desk.runner.runs
    await eventually(lambda: execution.get_name() == f"celers-task-{task}")


async def test_nothing_of_a_run_goes_to_asyncios_exception_handler(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler() -> None:
        raise SystemExit

    with caplog.at_level(logging.ERROR):
        await desk.run_handler(handler)
    assert not caplog.records
