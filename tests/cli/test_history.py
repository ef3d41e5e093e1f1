from __future__ import annotations

from collections.abc import Iterator

import pytest

from celers_worker.core.task import new_id
from celers_worker.store import history, make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors


@pytest.fixture
def direct(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DirectStore]:
    """A database of its own, for its triggers come and go."""
    monkeypatch.setenv("CELERS_DATABASE_URL", database_url)
    with make_direct_store(database_url) as direct:
        migrate.upgrade(direct)
        yield direct


def test_a_queue_with_a_trail_shows_what_happened_to_its_tasks(direct: DirectStore) -> None:
    assert done("queue", "history", "mail", "on").out == "mail has an audit trail from now on.\n"
    assert done("queue", "history", "mail", "on").out == "mail had an audit trail.\n"
    [task_id] = rows.waiting(direct, queue="mail")
    done("task", "update", str(task_id), "--priority", "3")
    done("task", "cancel", str(task_id), "--reason", "not wanted")

    head, *lines = done("task", "history", str(task_id)).lines
    assert head.split() == ["WHEN", "FROM", "TO", "LEASE", "WORKER", "REASON"]
    assert [line.split()[1:] for line in lines] == [
        ["pending", "0"],
        ["pending", "pending", "0", "priority", "was", "0"],
        ["pending", "cancelled", "0", "not", "wanted"],
    ]
    documents = done("task", "history", str(task_id), "--format", "json").json
    keys = ["task_id", "at", "from", "to", "queue", "lease", "worker", "reason"]
    assert list(documents[0]) == keys
    assert documents[2]["reason"] == "not wanted"
    assert "priority was 0" in done("task", "show", str(task_id)).out
    shown = done("task", "show", str(task_id), "--format", "json").json
    assert shown["history"] == documents


def test_the_queues_with_a_trail_are_listed(direct: DirectStore) -> None:
    assert "No queue has an audit trail" in done("queue", "history").err
    done("queue", "history", "mail", "on")
    done("queue", "history", "reports", "on")

    assert [line.split()[0] for line in done("queue", "history").lines] == [
        *("QUEUE", "mail", "reports"),
    ]
    first, _ = done("queue", "history", "--format", "json").json
    assert first["queue"] == "mail"
    assert done("queue", "history", "mail", "off").out.startswith(
        "mail has no audit trail any more."
    )
    assert done("queue", "history", "mail", "off").out == "mail had no audit trail.\n"
    assert list(direct.run(history.audited_queues)) == ["reports"]


def test_a_queue_shows_what_happened_to_its_tasks_lately(direct: DirectStore) -> None:
    assert "mail has no audit trail" in done("queue", "history", "mail").err
    done("queue", "history", "mail", "on")
    assert "Nothing has happened" in done("queue", "history", "mail").err
    first, second = rows.waiting(direct, 2, queue="mail")
    rows.waiting(direct, queue="other")
    done("task", "cancel", str(first), "--reason", "not wanted")

    head, newest, *_ = done("queue", "history", "mail").lines
    assert head.split() == ["WHEN", "TASK", "TO", "LEASE", "WORKER", "REASON"]
    assert newest.split()[1:3] == [str(first), "cancelled"]
    assert newest.endswith("not wanted")
    changes = done("queue", "history", "mail", "--format", "json").json
    assert [one["to"] for one in changes] == ["cancelled", "pending", "pending"]
    assert {one["task_id"] for one in changes} == {str(first), str(second)}
    assert len(done("queue", "history", "mail", "--limit", "1").lines) == 2


def test_a_task_without_a_trail_says_how_to_begin_one(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct, queue="mail")

    answer = done("task", "history", str(task_id))
    assert answer.err == ("mail has no audit trail. Begin one: celers queue history mail on\n")
    done("queue", "history", "mail", "on")
    assert "Nothing has happened" in done("task", "history", str(task_id)).err
    unknown = new_id()
    answer = celers("task", "history", str(unknown))
    assert (answer.code, errors(answer)) == (
        1,
        [f"there is no task {unknown}, or its retention is over. See: celers task list"],
    )
