from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from celers_worker.core.failures import SAMPLES, FailedRun, grouped
from celers_worker.core.fingerprint import LONGEST, fingerprint, normalised
from celers_worker.core.task import new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("user 17 not found", "user <n> not found"),
        ("took 1.5e3 s, not -3", "took <n> s, not <n>"),
        ("order 0190f0a1-7c3e-7000-8000-0123456789ab is gone", "order <uuid> is gone"),
        ("<Thing object at 0x7f21aa>", "<Thing object at <hex>>"),
        ("blob 3fa9c0ffee12 is missing", "blob <hex> is missing"),
        ("connect to 10.0.0.7:5432 failed", "connect to <ip> failed"),
        ("GET https://api.example.com/a/1?b=2 failed", "GET <url> failed"),
        ("no mailbox ada@example.com", "no mailbox <email>"),
        ("key 'abc' and \"def\"", "key <text> and <text>"),
        ("due 2026-01-02T03:04:05.678Z or 2026-01-02", "due <time> or <date>"),
        ("first line\nsecond line", "first line"),
        ("  spaces   between  ", "spaces between"),
        ("", ""),
        ("utf8 is fine, http2 too", "utf8 is fine, http2 too"),
        ("deadbeef as a word", "deadbeef as a word"),
    ],
)
def test_what_differs_from_task_to_task_makes_no_difference(message: str, expected: str) -> None:
    assert normalised(message) == expected


def test_a_long_message_is_cut_and_takes_no_time() -> None:
    assert len(normalised("x " * 100_000)) <= LONGEST
    assert normalised("'" * 100_000) is not None


def test_a_fingerprint_is_of_the_handler_the_type_and_the_message() -> None:
    one = fingerprint("send", "ValueError", "user 1")
    assert one == fingerprint("send", "ValueError", "user 2")
    others = {
        fingerprint("pay", "ValueError", "user 1"),
        fingerprint("send", "KeyError", "user 1"),
        fingerprint("send", "ValueError", "order 1"),
    }
    assert len({one, *others}) == 4


def run(
    name: str, message: str, *, minutes: int, dead: bool = False, **changes: object
) -> FailedRun:
    values = {
        "task": new_id(),
        "queue": "default",
        "error_type": "ValueError",
        "failed_at": NOW + timedelta(minutes=minutes),
    } | changes
    return FailedRun(name=name, message=message, dead=dead, **values)  # type: ignore[arg-type]  # see above


def test_groups_say_since_when_how_often_and_of_which_tasks() -> None:
    task = new_id()
    runs = [
        run("send", "user 1", minutes=1, task=task, dead=True),
        run("send", "user 2", minutes=5, task=task, dead=True),
        run("send", "user 3", minutes=3, queue="other"),
        run("pay", "user 3", minutes=2),
    ]
    first, second = grouped(runs)
    assert (first.name, first.attempts, first.tasks, first.dead) == ("send", 3, 2, 1)
    assert (first.first_seen, first.last_seen) == (
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=5),
    )
    assert first.queues == ("default", "other")
    assert first.samples[0] == task, "the newest first"
    assert (second.name, second.attempts) == ("pay", 1)


def test_a_group_names_a_few_of_its_tasks() -> None:
    [group] = grouped(run("send", f"user {number}", minutes=number) for number in range(50))
    assert len(group.samples) == SAMPLES
    assert group.tasks == 50
