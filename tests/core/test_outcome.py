from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from celers_worker.core import backoff, signals
from celers_worker.core.outcome import (
    MESSAGE_LIMIT,
    TRACEBACK_LIMIT,
    Cancelled,
    Completed,
    Dead,
    Failure,
    Release,
    Retry,
    failure_of,
    outcome_of_crash,
    outcome_of_error,
    outcome_of_value,
)
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.task import Task, new_id

NOW = datetime(2031, 5, 17, tzinfo=UTC)
TASK = Task(new_id(), 1, "send", "default", b"", 0, 0, 0, 3, NOW, NOW, NOW, None, False)
LAST = replace(TASK, retry_count=3)
MINUTE = RetryPolicy(backoff=backoff.fixed("1m"))


class Slow(TimeoutError):
    pass


def outcome(error, task=TASK, policy=MINUTE):
    return outcome_of_error(task, error, policy)


# --- how often a task runs ---


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 10])
def test_a_task_runs_once_and_then_as_often_as_it_may_be_retried(limit):  # T6
    task, runs = replace(TASK, max_retries=limit), 0
    while True:
        runs += 1
        ended = outcome(ValueError("no"), task)
        if isinstance(ended, Dead):
            break
        task = replace(task, retry_count=task.retry_count + 1)
    assert runs == 1 + limit
    assert ended.reason == f"attempt {runs} of {runs} failed"


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_runs_whose_worker_died_count_as_runs(limit):
    crashes = 0
    while True:
        ended = outcome_of_crash(
            retry_count=0, crash_count=crashes, max_retries=limit, max_crashes=99, worker="w"
        )
        crashes += 1
        if isinstance(ended, Dead):
            break
    assert crashes == 1 + limit
    assert ended.reason == f"attempt {crashes} of {crashes} died with its worker"


@pytest.mark.parametrize(("crashes", "poison"), [(0, False), (1, False), (2, True), (7, True)])
def test_a_task_that_keeps_killing_its_workers_is_poison(crashes, poison):  # T24
    ended = outcome_of_crash(
        retry_count=0, crash_count=crashes, max_retries=99, max_crashes=3, worker="w-7"
    )
    assert isinstance(ended, Dead if poison else Release)
    if poison:
        assert ended.reason == f"poison: {crashes + 1} workers died with it"
        assert ended.failure == Failure("WorkerLost", "worker w-7 stopped renewing its lease")


def test_a_crash_gives_the_task_back_at_its_old_place():
    ended = outcome_of_crash(
        retry_count=0, crash_count=0, max_retries=3, max_crashes=3, worker="w-7"
    )
    assert ended == Release(None, "WorkerLost: worker w-7 stopped renewing its lease")


# --- what a handler returned ---


@pytest.mark.parametrize(
    ("value", "stored"),
    [(None, None), (0, b"0"), ("", b'""'), ([], b"[]"), ({"a": (1, 2)}, b'{"a":[1,2]}')],
)
def test_a_value_is_a_result(value, stored):
    assert outcome_of_value(value) == Completed(stored)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, float("nan"), "a\0b", "x" * 2**21])
def test_a_result_that_cannot_be_stored_is_not_tried_again(value):
    ended = outcome_of_value(value)
    assert isinstance(ended, Dead)
    assert ended.reason == "its result cannot be stored"
    assert ended.failure.type == "celers_worker.core.errors.PayloadError"
    assert ended.failure.message.startswith("result ")


# --- what a handler raised ---


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), Retry),
        (TimeoutError(), Retry),
        (asyncio.CancelledError(), Retry),
        (KeyboardInterrupt(), Retry),
        (SystemExit(0), Retry),
        (MemoryError(), Retry),
        (ExceptionGroup("many", [ValueError("no")]), Retry),
        (signals.Retry(), Retry),
        (signals.Snooze("5m"), Release),
        (signals.Cancel(), Cancelled),
        (signals.Dead(), Dead),
    ],
)
def test_what_was_raised_decides_what_follows(error, kind):
    assert type(outcome(error)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), Dead),
        (signals.Retry(after="1s"), Dead),
        (signals.Snooze("5m"), Release),
        (signals.Cancel(), Cancelled),
        (signals.Dead(), Dead),
    ],
)
def test_on_the_last_attempt_a_failure_is_final_and_a_snooze_is_not(error, kind):
    assert type(outcome(error, LAST)) is kind


def test_a_failure_waits_as_long_as_the_policy_says():
    assert outcome(ValueError("no")).delay == timedelta(minutes=1)


def test_the_wait_grows_with_the_number_of_the_attempt():
    policy = RetryPolicy(backoff=backoff.linear("10s"))
    delays = [
        outcome(ValueError(), replace(TASK, retry_count=count), policy).delay.total_seconds()
        for count in range(3)
    ]
    assert delays == [10, 20, 30]


def test_a_handler_may_choose_its_own_wait():
    assert outcome(signals.Retry(after="90s")).delay == timedelta(seconds=90)
    assert outcome(signals.Retry(after=0)).delay == timedelta(0)
    assert outcome(signals.Retry()).delay == timedelta(minutes=1)


def test_a_snooze_says_when_and_why():
    assert outcome(signals.Snooze("5m", "rate limit")) == Release(
        timedelta(minutes=5), "rate limit"
    )


def test_a_cancel_and_a_death_say_why():
    assert outcome(signals.Cancel("user left")) == Cancelled("user left")
    ended = outcome(signals.Dead("bad address"))
    assert (ended.reason, ended.failure.message) == ("bad address", "bad address")


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (RetryPolicy(retry_on=(ConnectionError,)), Dead),
        (RetryPolicy(retry_on=(OSError,)), Retry),
        (RetryPolicy(dead_on=(OSError,)), Dead),
        (RetryPolicy(dead_on=(KeyError,)), Retry),
        (RetryPolicy(retry_on=(Slow,), dead_on=(TimeoutError,)), Dead),
        (RetryPolicy(retry_on=()), Dead),
    ],
)
def test_only_what_another_attempt_can_help_is_retried(policy, kind):
    ended = outcome(Slow("no"), policy=policy)
    assert type(ended) is kind
    if kind is Dead:
        assert ended.reason == "Slow is not retried"


def test_a_handler_that_asks_for_a_retry_is_not_asked_for_its_policy():
    policy = RetryPolicy(backoff=backoff.fixed("1m"), retry_on=(KeyError,))
    assert outcome(signals.Retry(), policy=policy).delay == timedelta(minutes=1)


def test_the_backoff_of_the_most_specific_exception_wins():
    policy = RetryPolicy(
        backoff=backoff.fixed("1s"),
        on=(
            (OSError, backoff.fixed("2s")),
            (Slow, backoff.fixed("4s")),
            (TimeoutError, backoff.fixed("3s")),
        ),
    )
    errors = [ValueError(), OSError(), TimeoutError(), Slow()]
    delays = [outcome(error, policy=policy).delay.total_seconds() for error in errors]
    assert delays == [1, 2, 3, 4]


@pytest.mark.parametrize("wait", [lambda n: 1 / 0, lambda n: -1, lambda n: "soon", lambda n: None])
def test_a_backoff_that_fails_does_not_lose_the_task(wait):
    ended = outcome(ValueError("no"), policy=RetryPolicy(backoff=backoff.custom(wait)))
    assert timedelta(0) <= ended.delay <= timedelta(seconds=2)


# --- a failure in words ---


def test_a_failure_names_the_exception_as_people_would_import_it():
    assert failure_of(ValueError("no")).type == "ValueError"
    assert failure_of(Slow()).type == f"{__name__}.Slow"
    assert str(failure_of(ValueError("no"))) == "ValueError: no"
    assert str(failure_of(ValueError())) == "ValueError"


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def test_a_failure_has_the_traceback_with_its_causes():
    error = raised(ValueError("outer"))
    error.__cause__ = raised(KeyError("inner"))
    trace = failure_of(error).traceback
    assert "KeyError: 'inner'" in trace
    assert "direct cause" in trace
    assert trace.endswith("ValueError: outer\n")


class BrokenText(Exception):
    def __str__(self):
        raise RuntimeError("not even this works")


class BrokenRepr(Exception):
    def __repr__(self):
        raise RuntimeError("not even this works")


class NoText(Exception):
    def __str__(self):
        return 7


class Fatal(Exception):
    def __str__(self):
        raise SystemExit(1)


@pytest.mark.parametrize("kind", [BrokenText, NoText, Fatal])
def test_an_exception_that_cannot_be_shown_is_still_a_failure(kind):
    failure = failure_of(raised(kind()))
    assert failure.type == f"{__name__}.{kind.__name__}"
    assert failure.message == "(its message cannot be shown: __str__ failed)"
    assert kind.__name__ in failure.traceback


def test_a_broken_repr_does_not_matter():
    assert failure_of(raised(BrokenRepr(BrokenRepr()))).type.endswith("BrokenRepr")


def test_exceptions_that_cause_each_other_have_an_end():
    first, second = raised(ValueError("first")), raised(ValueError("second"))
    first.__cause__, second.__cause__ = second, first
    assert "second" in failure_of(first).traceback


def test_a_group_of_thousands_is_cut():
    group = ExceptionGroup("many", [ValueError(number) for number in range(10_000)])
    assert len(failure_of(raised(group)).traceback) <= TRACEBACK_LIMIT


def test_a_message_of_fifty_megabytes_is_cut_in_the_middle():
    failure = failure_of(raised(ValueError("begin" + "x" * 50_000_000 + "end")))
    assert len(failure.message) <= MESSAGE_LIMIT
    assert len(failure.traceback) <= TRACEBACK_LIMIT
    assert failure.message.startswith("begin")
    assert failure.message.endswith("end")
    assert "… cut …" in failure.message


def test_what_databases_cannot_hold_is_written_out():
    failure = failure_of(raised(ValueError("a\0b \ud800 😀")))
    assert failure.message == "a\\0b \\ud800 😀"
    assert "\0" not in failure.traceback


@given(st.text(st.characters(categories=None), max_size=50), st.sampled_from([1, 90, 300, 3_000]))
def test_every_failure_can_be_stored(text, times):
    error = ValueError(text * times)
    kind = type("Odd", (ValueError,), {})
    kind.__qualname__ = text * times or "Odd"
    for failure in (failure_of(error), failure_of(kind(text))):
        assert len(failure.type) <= 255
        assert len(failure.message) <= MESSAGE_LIMIT
        assert len(failure.traceback) <= TRACEBACK_LIMIT
        for part in (failure.type, failure.message, failure.traceback):
            part.encode()
            assert "\0" not in part
