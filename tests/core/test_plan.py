"""What becomes of ticks: policies as tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.plan import Plan, Tick, plan
from celers_worker.core.policies import Misfire, Overlap, Policies
from celers_worker.core.schedule import Schedule
from celers_worker.core.timing import Every, timing_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def schedule(every: str = "10m", **policies: object) -> Schedule:
    return Schedule(
        name="report",
        task="report",
        timing=timing_of(cron=None, every=every),
        policies=Policies(**policies),
    )


def at(text: str) -> datetime:
    """A time of that day."""
    return datetime.fromisoformat(f"2026-03-01T{text}Z")


def times(ticks) -> list[str]:
    return [f"{tick.at:%H:%M}" for tick in ticks]


def decided(wanted: Schedule, now: str, due_after: str = "11:50", **state: object) -> Plan:
    return plan(wanted, now=at(now), due_after=at(due_after), **state)


def test_nothing_is_due_before_the_next_tick():
    assert decided(schedule(), "11:59:59.9") == Plan(
        fired=[], missed=None, overlapped=[], waiting=None, due_after=at("11:50")
    )


def test_a_tick_fires_once_and_is_dealt_with():
    first = decided(schedule(), "12:00")
    assert (times(first.fired), first.due_after) == (["12:00"], NOON)
    assert plan(schedule(), now=at("12:00:01"), due_after=first.due_after).fired == []


@pytest.mark.parametrize("misfire", list(Misfire))
def test_a_tick_that_is_a_little_late_is_in_time_under_every_policy(misfire):
    found = decided(schedule(misfire=misfire), "12:01")
    assert (found.fired, found.missed) == ([Tick(NOON)], None)


@pytest.mark.parametrize(
    ("misfire", "now", "fired", "missed"),
    [
        # down from 11:55 to 12:47
        (Misfire.SKIP, "12:47", [], Tick(at("12:40"), since=NOON)),
        (Misfire.ONCE, "12:47", [Tick(at("12:40"), since=NOON)], None),
        (Misfire.ALL, "12:47", [Tick(at(f"12:{m}0")) for m in range(5)], None),
        # up again when the next tick is just due: it stands for the others
        (Misfire.SKIP, "12:40:30", [Tick(at("12:40"))], Tick(at("12:30"), since=NOON)),
        (Misfire.ONCE, "12:40:30", [Tick(at("12:40"), since=NOON)], None),
        (Misfire.ALL, "12:40:30", [Tick(at(f"12:{m}0")) for m in range(5)], None),
        # one tick was missed
        (Misfire.SKIP, "12:05", [], Tick(NOON)),
        (Misfire.ONCE, "12:05", [Tick(NOON)], None),
        (Misfire.ALL, "12:05", [Tick(NOON)], None),
    ],
)
def test_late_ticks_are_dealt_with_by_the_misfire_policy(misfire, now, fired, missed):
    found = decided(schedule(misfire=misfire), now)
    assert (list(found.fired), found.missed) == (fired, missed)
    assert found.due_after == max([tick.at for tick in fired] + ([missed.at] if missed else []))


def test_all_is_bounded_by_catch_up_and_says_what_it_leaves_out():
    found = decided(schedule(misfire=Misfire.ALL, catch_up=2), "12:47")
    assert times(found.fired) == ["12:30", "12:40"]
    assert found.missed == Tick(at("12:20"), since=NOON)


@pytest.mark.parametrize("misfire", list(Misfire))
def test_a_year_away_is_dealt_with_at_once(misfire):
    wanted = schedule("1s", misfire=misfire, catch_up=50)
    found = plan(wanted, now=NOON, due_after=NOON - timedelta(days=365))
    assert len(found.fired) == 50
    assert found.due_after == NOON


def test_a_clock_that_was_set_back_starts_from_now_and_not_from_the_future():
    found = decided(schedule(), "12:05", due_after="18:00")
    assert (found.fired, found.due_after) == ([], at("12:05"))
    assert schedule().timing.next_after(found.due_after) == at("12:10")


def test_a_clock_that_leaps_ahead_is_like_an_absence():
    found = decided(schedule(), "23:59")
    assert found.fired == [Tick(at("23:50"), since=NOON)]


@pytest.mark.parametrize(
    ("overlap", "busy", "waiting", "fired", "overlapped", "left"),
    [
        (Overlap.ALLOW, True, None, ["12:00"], [], None),
        (Overlap.SKIP, False, None, ["12:00"], [], None),
        (Overlap.SKIP, True, None, [], ["12:00"], None),
        (Overlap.QUEUE, False, None, ["12:00"], [], None),
        (Overlap.QUEUE, True, None, [], [], "12:00"),
        (Overlap.QUEUE, True, "11:50", [], ["11:50"], "12:00"),
        (Overlap.QUEUE, False, "11:50", ["11:50"], [], "12:00"),
        # the policy was changed while one was waiting
        (Overlap.ALLOW, True, "11:50", ["11:50", "12:00"], [], None),
        (Overlap.SKIP, True, "11:50", [], ["11:50", "12:00"], None),
    ],
)
def test_ticks_that_overlap_are_dealt_with_by_the_overlap_policy(
    overlap, busy, waiting, fired, overlapped, left
):
    held = None if waiting is None else at(waiting)
    found = decided(schedule(overlap=overlap), "12:00", waiting=held, busy=busy)
    assert (times(found.fired), times(found.overlapped)) == (fired, overlapped)
    assert (None if found.waiting is None else f"{found.waiting.at:%H:%M}") == left


def test_one_that_waits_fires_when_the_last_task_has_ended_however_late():
    wanted = schedule(overlap=Overlap.QUEUE, misfire=Misfire.SKIP)
    found = decided(wanted, "12:09:59", due_after="12:00", waiting=NOON, busy=False)
    assert (times(found.fired), found.missed, found.waiting) == (["12:00"], None, None)


def test_while_it_waits_nothing_changes():
    found = decided(
        schedule(overlap=Overlap.QUEUE), "12:05", due_after="12:00", waiting=NOON, busy=True
    )
    assert (found.fired, found.overlapped, found.waiting) == ([], [], Tick(NOON))


# --- jitter and tasks ---


def test_jitter_is_the_same_for_a_tick_whoever_computes_it_and_differs_between_ticks():
    wanted, other = schedule(jitter=timedelta(minutes=5)), schedule(jitter=timedelta(minutes=5))
    ticks = [NOON + timedelta(minutes=10 * number) for number in range(50)]
    delays = [wanted.delay_of(tick) for tick in ticks]
    assert delays == [other.delay_of(tick) for tick in ticks]
    assert len(set(delays)) > 45
    assert all(timedelta(0) <= delay < timedelta(minutes=5) for delay in delays)
    assert max(delays) > timedelta(minutes=3)


def test_a_task_is_due_after_its_jitter_and_names_its_tick():
    wanted = schedule(jitter=timedelta(minutes=5))
    task = wanted.new_task(NOON, now=NOON)
    assert task.at == NOON + wanted.delay_of(NOON)
    assert task.metadata == {"schedule": "report", "tick": "2026-03-01T12:00:00Z"}
    assert wanted.new_task(NOON, now=NOON + timedelta(hours=1)).at is None
    assert schedule().new_task(NOON, now=NOON).at is None


# --- whatever happens ---


@given(
    st.sampled_from(list(Misfire)),
    st.sampled_from(list(Overlap)),
    st.lists(st.tuples(st.integers(0, 5_000), st.booleans()), max_size=12),
)
def test_every_tick_comes_to_one_end_and_none_fires_twice(misfire, overlap, steps):
    wanted = schedule("1m", misfire=misfire, overlap=overlap, catch_up=5)
    now = due_after = NOON
    waiting, fired, given_up = None, [], []
    for seconds, busy in steps:
        now += timedelta(seconds=seconds)
        found = plan(wanted, now=now, due_after=due_after, waiting=waiting, busy=busy)
        assert len(found.fired) <= 6
        fired += [tick.at for tick in found.fired]
        given_up += [tick.at for tick in found.overlapped]
        given_up += [found.missed.at] if found.missed else []
        waiting = None if found.waiting is None else found.waiting.at
        due_after = found.due_after
        assert due_after <= now < Every(timedelta(minutes=1)).next_after(due_after)
    assert len(set(fired)) == len(fired)
    assert not set(fired) & set(given_up)
    assert all(tick <= now and tick.second == 0 for tick in fired)
