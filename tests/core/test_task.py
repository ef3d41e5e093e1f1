from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from celers_worker.core import task as module
from celers_worker.core.task import (
    ARCHIVED,
    LIVE,
    TRANSITIONS,
    Demand,
    Enqueued,
    NewTask,
    Task,
    TaskState,
    new_id,
)

NOW = datetime(2031, 5, 17, tzinfo=UTC)
TASK = Task(new_id(), 1, "send", "default", b"", 0, 0, 0, 3, NOW, NOW, NOW, None, False)


# --- states ---


def test_every_state_has_its_row_in_the_table():
    assert TRANSITIONS.keys() == {*TaskState}


def test_a_state_is_live_or_archived_or_dead_and_only_one_of_them():
    assert LIVE | ARCHIVED | {TaskState.FAILED} == {*TaskState}
    assert len(LIVE) + len(ARCHIVED) + 1 == len(TaskState)


@given(st.sampled_from(TaskState), st.lists(st.integers(0, 4), max_size=50))
def test_no_walk_through_the_table_leaves_the_states(state, choices):
    for choice in choices:
        following = sorted(TRANSITIONS[state])
        if not following:
            assert state is TaskState.COMPLETED
            return
        state = following[choice % len(following)]
        assert state in TRANSITIONS


def test_only_a_running_task_completes_or_dies_but_for_one_whose_payload_cannot_be_completed():
    before = {
        state: {before for before, after in TRANSITIONS.items() if state in after}
        for state in (TaskState.COMPLETED, TaskState.FAILED)
    }
    assert before[TaskState.COMPLETED] == {TaskState.PROCESSING}
    assert before[TaskState.FAILED] == {TaskState.PROCESSING, TaskState.BLOCKED}


def test_only_a_pending_task_starts_to_run():
    before = {state for state, after in TRANSITIONS.items() if TaskState.PROCESSING in after}
    assert before == {TaskState.PENDING}


def test_every_live_task_can_end():
    for state in LIVE:
        seen = {state}
        for _ in TaskState:
            seen |= {after for before in seen for after in TRANSITIONS[before]}
        assert {TaskState.COMPLETED, TaskState.FAILED} <= seen


# --- attempts ---


@pytest.mark.parametrize(
    ("retries", "crashes", "limit", "attempt", "last"),
    [
        (0, 0, 0, 1, True),
        (0, 0, 1, 1, False),
        (1, 0, 1, 2, True),
        (0, 1, 1, 2, True),
        (1, 1, 3, 3, False),
        (2, 1, 3, 4, True),
        (9, 0, 3, 10, True),  # its limit was lowered meanwhile
    ],
)
def test_failed_and_crashed_runs_count_towards_the_limit(retries, crashes, limit, attempt, last):
    task = replace(TASK, retry_count=retries, crash_count=crashes, max_retries=limit)
    assert (task.attempt, task.is_last_attempt) == (attempt, last)


# --- room ---


@pytest.mark.parametrize(
    ("demand", "rooms"),
    [
        (Demand(9), {"a": 0, "b": 0}),
        (Demand(9, {"a": 2}), {"a": 2, "b": 0}),
        (Demand(9, {"a": 2}, others=5), {"a": 2, "b": 5}),
        (Demand(9, {"a": 0}, others=5), {"a": 0, "b": 5}),
        (Demand(3, {"a": 20}, others=50), {"a": 3, "b": 3}),
        (Demand(0, {"a": 2}, others=5), {"a": 0, "b": 0}),
    ],
)
def test_the_room_of_a_queue_is_never_more_than_the_whole(demand, rooms):
    assert {queue: demand.room(queue) for queue in rooms} == rooms


def test_handlers_without_room_are_excluded():
    assert Demand(9, handlers={"a": 0, "b": -1, "c": 1}).excluded == {"a", "b"}
    assert Demand(9).excluded == frozenset()


# --- ids ---


def test_ids_rise_strictly():
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert [str(one) for one in ids] == sorted(map(str, ids))


def test_the_ids_of_a_fork_are_not_its_parents():
    program = (
        "import os, sys\n"
        "from celers_worker.core.task import new_id\n"
        "new_id()\n"
        "child = os.fork()\n"
        "os.write(1, b''.join(new_id().bytes[8:] for _ in range(300)))\n"
        "child and os.waitpid(child, 0)\n"
    )
    written = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    ends = [written.stdout[start : start + 8] for start in range(0, len(written.stdout), 8)]
    assert len(ends) == len(set(ends)) == 600


def test_ids_of_many_threads_are_all_different_and_rise_in_each():
    made: list[list[object]] = [[] for _ in range(8)]

    def make(own):
        own.extend(new_id() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in made)
    assert len({one for own in made for one in own}) == 16_000


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front(monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 4_102_444_800_123_000_000)
    one = module._IdSource()()
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert one.int >> 80 == 4_102_444_800_123


def test_ids_rise_when_the_clock_goes_back(monkeypatch):
    source = module._IdSource()
    first = source()
    monkeypatch.setattr(module.time, "time_ns", lambda: 0)
    assert first < source() < source()


def test_more_ids_than_fit_a_millisecond_still_rise(monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 4_102_444_800_000_000_000)
    source = module._IdSource()
    ids = [source() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert {one.version for one in ids} == {7}


# --- values ---


def test_a_new_task_brings_its_own_id():
    first, second = NewTask(name="send", payload=b""), NewTask(name="send", payload=b"")
    assert first.id < second.id


@pytest.mark.parametrize(
    ("value", "name"), [(TASK, "lease"), (Enqueued(new_id()), "id"), (Demand(1), "total")]
)
def test_values_do_not_change(value, name):
    with pytest.raises(AttributeError):
        setattr(value, name, None)
