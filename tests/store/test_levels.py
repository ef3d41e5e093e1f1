"""Which levels a claim asks, and what it learns from the answer: rules without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from celers_worker.core.task import Demand, Task, new_id
from celers_worker.store import levels as module
from celers_worker.store.levels import SLACK, Levels

NOW = datetime(2031, 5, 17, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TASK = Task(new_id(), 1, "send", "a", b"", 0, 0, 0, 3, NOW, NOW, NOW, None, False)


def swept(*rows):
    """Levels after a sweep that found these (queue, priority, when the first is due)."""
    levels = Levels()
    levels.learn([(*row, NOW) for row in rows])
    return levels


def asked(levels, demand):
    return [(level.queue, level.priority, level.room) for level in levels.due(demand)]


def task_of(queue, priority=0, at=NOW):
    return replace(TASK, queue=queue, priority=priority, scheduled=at)


def test_the_highest_level_is_asked_first_then_the_one_that_waits_longest():
    levels = swept(("a", 0, NOW - HOUR), ("b", 5, NOW), ("c", 0, NOW - 2 * HOUR))
    assert asked(levels, Demand(9, others=9)) == [("b", 5, 9), ("c", 0, 9), ("a", 0, 9)]


def test_levels_that_are_not_due_are_only_remembered_as_the_next():
    levels = swept(("a", 0, NOW + HOUR), ("b", 0, NOW + timedelta(seconds=7)))
    assert asked(levels, Demand(9, others=9)) == []
    assert levels.next_due == pytest.approx(7, abs=5)


def test_without_anything_to_wait_for_there_is_no_next():
    assert swept(("a", 0, NOW)).next_due is None


def test_queues_without_room_are_not_asked():
    levels = swept(("a", 0, NOW), ("b", 0, NOW), ("c", 0, NOW))
    assert asked(levels, Demand(9, {"a": 0, "b": 4})) == [("b", 0, 4)]
    assert asked(levels, Demand(0, others=9)) == []


def test_a_queue_with_less_room_than_the_whole_is_asked_for_one_level_at_a_time():
    levels = swept(("a", 1, NOW), ("a", 2, NOW), ("b", 0, NOW))
    assert asked(levels, Demand(9, {"a": 2}, others=9)) == [("a", 2, 2), ("b", 0, 9)]
    assert asked(levels, Demand(9, others=9)) == [("a", 2, 9), ("a", 1, 9), ("b", 0, 9)]


def advance(levels, demand, *claimed):
    levels.advance(levels.due(demand), claimed, demand)


def test_a_level_that_gave_less_than_its_room_is_drained():
    levels, demand = swept(("a", 0, NOW), ("b", 0, NOW)), Demand(3, others=3)
    advance(levels, demand, task_of("a"))
    assert asked(levels, demand) == []
    assert levels.stale(demand)


def test_a_full_claim_leaves_the_levels_it_did_not_reach():
    levels, demand = swept(("a", 5, NOW), ("b", 3, NOW), ("c", 0, NOW)), Demand(2, others=2)
    advance(levels, demand, task_of("b", 3), task_of("b", 3))
    assert asked(levels, demand) == [("b", 3, 2), ("c", 0, 2)]


@pytest.mark.parametrize(
    ("newest", "mark"), [(NOW, NOW - SLACK), (NOW - SLACK, NOW - SLACK), (NOW - HOUR, NOW - HOUR)]
)
def test_the_mark_follows_the_newest_task_claimed_and_keeps_its_distance_from_now(newest, mark):
    levels, demand = swept(("a", 0, NOW - 2 * HOUR)), Demand(1, others=1)
    advance(levels, demand, task_of("a", at=newest))
    [level] = levels.due(demand)
    assert level.mark == mark


def test_the_mark_never_goes_back():
    levels, demand = swept(("a", 0, NOW)), Demand(1, others=1)
    advance(levels, demand, task_of("a", at=NOW - HOUR))
    [level] = levels.due(demand)
    assert level.mark == NOW - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("seconds", "stale"), [(0.0, False), (0.9, False), (1.0, True), (60.0, True)]
)
def test_a_sweep_is_due_every_second(monkeypatch, seconds, stale):
    levels = swept(("a", 0, NOW))
    began = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: began + seconds)
    assert levels.stale(Demand(1, others=1)) is stale


@pytest.mark.parametrize(("seconds", "stale"), [(1.0, False), (3.9, False), (4.1, True)])
def test_a_sweep_that_took_long_is_not_repeated_so_soon(monkeypatch, seconds, stale):
    levels = Levels()
    ended = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: ended)
    levels.learn([("a", 0, NOW, NOW)], began=ended - 0.4)
    monkeypatch.setattr(module.time, "monotonic", lambda: ended + seconds)
    assert levels.stale(Demand(1, others=1)) is stale


def test_a_handler_that_has_room_again_calls_for_a_sweep():
    levels = swept(("a", 0, NOW))
    full, free = Demand(1, others=1, handlers={"x": 0}), Demand(1, others=1, handlers={"x": 1})
    assert [levels.stale(demand) for demand in (free, full, full, free, free)] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_forgotten_levels_call_for_a_sweep():
    levels = swept(("a", 0, NOW))
    levels.forget()
    assert levels.stale(Demand(1, others=1))
    assert asked(levels, Demand(1, others=1)) == []
