from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from celers_worker.core.explanation import (
    Before,
    Earlier,
    Explanation,
    Facts,
    Held,
    Parent,
    Subject,
    explain,
)
from celers_worker.core.serving import Job, Server
from celers_worker.core.task import TaskState, new_id

#: Fixed, for they are part of the names of tests, which all processes must agree on.
ID = UUID("01a21cfc-aec1-7000-ba78-36613d544485")
OTHER = UUID("01a21cfc-aec1-7001-ba78-36613d544485")


def subject(**changes: Any) -> Subject:
    values: dict[str, Any] = {
        "id": ID,
        "name": "send",
        "queue": "emails",
        "state": TaskState.PENDING,
        "due_in": -3.0,
        "attempt": 1,
        "max_retries": 3,
    }
    return Subject(**values | changes)


def server(**changes: Any) -> Server:
    values: dict[str, Any] = {
        "id": "worker-1",
        "name": "mail-1",
        "state": "running",
        "queues": ["emails"],
        "handlers": ["send"],
        "concurrency": 4,
        "lease_left": 20.0,
    }
    return Server(**values | changes)


def found(*, task: Subject | None = None, **facts: Any) -> Explanation:
    return explain(Facts(task=task or subject(), **{"servers": [server()]} | facts))


def codes(explanation: Explanation) -> list[str]:
    return [reason.code for reason in explanation.reasons]


def jobs(count: int, name: str = "send", queue: str = "emails") -> list[Job]:
    return [Job(new_id(), name, queue) for _ in range(count)]


def test_nothing_stands_in_the_way_of_the_next_task() -> None:
    explanation = found()
    assert codes(explanation) == ["next"]
    assert not explanation.stands


def test_what_comes_before_it_is_counted() -> None:
    before = Before(12, False, [Earlier(OTHER, "send", 0, 3.0)])
    explanation = found(before=before)
    assert codes(explanation) == ["in_line"]
    assert "12 due tasks" in explanation.reasons[0].text
    assert explanation.before is before


@pytest.mark.parametrize(
    ("facts", "code", "words", "command"),
    [
        (
            {"queue_paused": Held(300, "ada@host: maintenance")},
            "queue_paused",
            "paused for 5m: ada@host: maintenance.",
            "celers queue resume emails",
        ),
        (
            {"handler_paused": Held(60, None)},
            "handler_paused",
            "paused for 1m.",
            "celers queue resume --handler send",
        ),
        (
            {"circuit": Held(60, "ConnectionError: down", 12.0)},
            "circuit_open",
            "tried in 12s",
            "celers queue resume --handler send",
        ),
        ({"task": subject(due_in=90.0)}, "scheduled", "due in 1m30s", f"celers task retry {ID}"),
        (
            {"task": subject(due_in=90.0, attempt=2, error="ValueError: no\nmore")},
            "retry",
            "attempt 2 of 4: due in 1m30s. The last one failed: ValueError: no",
            f"celers task retry {ID}",
        ),
        (
            {"task": subject(expires_in=-60.0)},
            "expired",
            "expired 1m ago",
            f"celers task cancel {ID}",
        ),
        ({"servers": []}, "no_worker", "No worker lives", "celers worker"),
        ({"servers": [server(state="lost")]}, "no_worker", "No worker lives", "celers worker"),
        (
            {"servers": [server(queues=["reports"])]},
            "queue_unserved",
            "None of the 1 live workers serves its queue emails",
            "celers worker -q emails",
        ),
        (
            {"servers": [server(handlers=["sent"])]},
            "handler_unknown",
            "Did you mean 'sent'?",
            "celers handlers list",
        ),
        (
            {"servers": [server(queues=["x"]), server(id="2", handlers=["y"])]},
            "no_worker_for_both",
            "none does both",
            "celers worker -q emails",
        ),
        (
            {"servers": [server(state="quiet")]},
            "worker_quiet",
            "mail-1 (worker-1) could run it, and is quiet",
            "celers workers resume worker-1",
        ),
        (
            {"servers": [server(runs=jobs(4, "other", "else"))]},
            "worker_limit",
            "4 tasks, as many as it may",
            "celers workers scale worker-1 8",
        ),
        (
            {"servers": [server(limits={"queues": {"emails": 2}}, runs=jobs(2))]},
            "queue_limit",
            "2 tasks of its queue",
            "celers check  ([queues.emails] concurrency)",
        ),
        (
            {"servers": [server(limits={"handlers": {"send": 1}}, runs=jobs(1))]},
            "handler_limit",
            "1 tasks of its handler",
            "celers check  ([handlers.send] concurrency)",
        ),
    ],
)
def test_each_thing_that_stands_in_its_way_is_told_with_a_command(
    facts: dict[str, Any], code: str, words: str, command: str
) -> None:
    explanation = found(**facts)
    assert codes(explanation) == [code]
    [reason] = explanation.reasons
    assert words in reason.text
    assert reason.command == command
    assert explanation.stands


def test_all_that_stands_in_its_way_is_told() -> None:
    explanation = found(
        task=subject(due_in=5.0),
        queue_paused=Held(1, None),
        circuit=Held(1, None),
        servers=[],
    )
    assert codes(explanation) == ["scheduled", "queue_paused", "circuit_open", "no_worker"]


def test_one_worker_with_room_is_enough() -> None:
    full = server(runs=jobs(4))
    assert codes(found(servers=[full, server(id="worker-2", name="mail-2")])) == ["next"]


def test_a_limit_names_the_tasks_that_take_the_room() -> None:
    running = jobs(4)
    [reason] = found(servers=[server(runs=running)]).reasons
    assert all(str(job.id) in reason.text for job in running[:3])
    assert "and 1 more" in reason.text


def test_a_task_that_runs_is_told_where_and_since_when() -> None:
    task = subject(state=TaskState.PROCESSING, worker="worker-1", started_ago=75.0)
    explanation = found(task=task, before=Before(3))
    [reason] = explanation.reasons
    assert (reason.code, explanation.stands, explanation.before.count) == ("runs", False, 0)
    assert "for 1m15s, attempt 1 of 4, at mail-1 (worker-1), whose lease lasts 20s" in reason.text


def test_a_task_whose_worker_is_gone_is_told() -> None:
    task = subject(state=TaskState.PROCESSING, worker="gone")
    assert codes(found(task=task)) == ["worker_lost"]
    lost = subject(state=TaskState.PROCESSING, worker="worker-1", cancel_requested=True)
    assert codes(found(task=lost, servers=[server(state="lost")])) == ["worker_lost", "cancelling"]
    foreign = subject(state=TaskState.PROCESSING)
    assert codes(found(task=foreign)) == ["runs_elsewhere"]


def test_a_blocked_task_names_the_parents_that_have_not_ended() -> None:
    parents = [Parent(OTHER, "fetch", "processing"), Parent(new_id(), "done", "completed")]
    explanation = found(task=subject(state=TaskState.BLOCKED), parents=parents)
    [reason] = explanation.reasons
    assert reason.code == "waits_for"
    assert f"fetch {OTHER}, which is processing" in reason.text
    assert reason.command == f"celers explain {OTHER}"
    freed = found(task=subject(state=TaskState.BLOCKED), parents=parents[1:])
    assert codes(freed) == ["unblocking"]


@pytest.mark.parametrize(
    ("changes", "code", "words", "command"),
    [
        ({"state": TaskState.COMPLETED}, "completed", "1m ago", f"celers task result {ID}"),
        (
            {"state": TaskState.CANCELLED, "reason": "by ada."},
            "cancelled",
            "cancelled 1m ago: by ada.",
            f"celers task retry {ID}",
        ),
        (
            {"state": TaskState.EXPIRED},
            "expired",
            "before it was started",
            f"celers task retry {ID}",
        ),
        (
            {
                "state": TaskState.FAILED,
                "reason": "attempt 4 of 4 failed",
                "error": "ValueError: no such user",
            },
            "dead",
            "died 1m ago: attempt 4 of 4 failed. Last error: ValueError: no such user",
            f"celers dlq requeue {ID}",
        ),
    ],
)
def test_a_task_that_has_ended_is_told_how(
    changes: dict[str, Any], code: str, words: str, command: str
) -> None:
    explanation = found(task=subject(ended_ago=60.0, **changes))
    [reason] = explanation.reasons
    assert (reason.code, reason.command) == (code, command)
    assert words in reason.text


def test_a_dead_task_whose_key_a_live_one_has_cannot_come_back() -> None:
    task = subject(state=TaskState.FAILED, unique_key="welcome:1", ended_ago=1.0)
    explanation = found(task=task, key_holder=OTHER)
    assert codes(explanation) == ["dead", "unique_conflict"]
    assert explanation.reasons[1].command == f"celers explain {OTHER}"
