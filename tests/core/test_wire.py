"""What a worker and the process of a handler say to each other."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core import wire
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Failure,
    Outcome,
    Release,
    Retry,
)
from celers_worker.core.task import NewTask
from tests.services.desk import a_task

FAILURE = Failure("shop.OutOfStock", "none left", "Traceback …", b'{"left":0}')


@pytest.mark.parametrize(
    "outcome",
    [
        Completed(),
        Completed(b"1", 0.5, "raw", timedelta(hours=1)),
        Retry(timedelta(seconds=2), FAILURE),
        Release(timedelta(days=1), "snoozed"),
        Cancelled("no need"),
        Expired(),
        Dead("gave up", FAILURE, 1.5, timedelta(0)),
    ],
)
def test_an_outcome_arrives_as_it_was(outcome: Outcome) -> None:
    sent = wire.framed(wire.Ended.of(outcome, None))
    received = wire.said_by_process(sent[wire.LENGTH.size :])
    assert isinstance(received, wire.Ended)
    assert received.read() == outcome


def test_tasks_arrive_as_they_were() -> None:
    start = wire.Start("shop.tasks", a_task(metadata={"a": [1, None]}, timeout=2.5), 512_000_000)
    assert wire.said_by_worker(wire.framed(start)[wire.LENGTH.size :]) == start
    ask = wire.Ask(1, [NewTask(name="work", payload=b"\0\xff", delay=timedelta(minutes=1))])
    assert wire.said_by_process(wire.framed(ask)[wire.LENGTH.size :]) == ask


@given(st.binary(max_size=200))
def test_nonsense_is_told_from_messages(data: bytes) -> None:
    # A handler may write into the connection of its process.
    try:
        message = wire.said_by_process(data)
    except msgspec.MsgspecError:
        return
    assert isinstance(message, wire.ToWorker)


@pytest.mark.parametrize(
    "ended", [wire.Ended("Promised", b"", None), wire.Ended("Dead", b"", None)]
)
def test_an_outcome_that_is_none_is_refused(ended: wire.Ended) -> None:
    with pytest.raises(msgspec.MsgspecError):
        ended.read()


def test_a_length_beyond_all_messages_is_refused_before_anything_is_read() -> None:
    with pytest.raises(msgspec.MsgspecError, match="is none"):
        wire.checked(wire.LONGEST + 1)
