"""``celers failures`` groups failed attempts, of a bounded number of them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from celers_worker.core.outcome import Failure
from celers_worker.store import failures
from celers_worker.store.attempt import FailedAttempt
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done
from tests.store.steps import execute


def fail(direct: DirectStore, ids: list[UUID], message: str, *, lease: int = 1) -> None:
    failed = [
        FailedAttempt(task, lease, lease, "worker-1", None, Failure("ValueError", message))
        for task in ids
    ]
    direct.run(lambda transaction: transaction.record_attempts(failed))


def test_failures_are_grouped_by_what_went_wrong_and_not_by_its_data(direct: DirectStore) -> None:
    first, second = rows.waiting(direct, 2)
    [other] = rows.waiting(direct, name="pay", queue="money")
    fail(direct, [first], "no user 17")
    fail(direct, [first], "no user 18", lease=2)
    fail(direct, [second], "no user 19")
    fail(direct, [other], "no user 20")
    rows.bury(direct, [second])
    largest, smallest = done("failures", "--format", "json").json["groups"]
    assert (largest["name"], largest["attempts"], largest["tasks"], largest["dead"]) == (
        "send",
        3,
        2,
        1,
    )
    assert largest["message"] == "no user <n>"
    assert set(largest["samples"]) == {str(first), str(second)}
    assert largest["first_seen"] <= largest["last_seen"]
    assert (smallest["name"], smallest["queues"]) == ("pay", ["money"])
    lines = done("failures").lines
    assert lines[1].split()[:4] == [largest["fingerprint"], "3", "2", "1"]
    assert lines[1].endswith("ValueError: no user <n>")


def test_failures_are_chosen_by_queue_handler_fingerprint_and_age(direct: DirectStore) -> None:
    [one] = rows.waiting(direct)
    [other] = rows.waiting(direct, name="pay", queue="money")
    fail(direct, [one, other], "down")
    every = done("failures", "--format", "json").json["groups"]
    of = {group["name"]: group["fingerprint"] for group in every}
    for chosen in (["-q", "money"], ["--name", "pay"], ["--fingerprint", of["pay"]]):
        groups = done("failures", *chosen, "--format", "json").json["groups"]
        assert [group["name"] for group in groups] == ["pay"]
    execute(direct, "UPDATE celers_task_attempts SET failed_at = '2001-01-01 00:00:00.000000'")
    assert done("failures", "--format", "json").json["groups"] == []
    assert "No attempt has failed in the last 1h" in done("failures", "--since", "1h").err
    assert celers("failures", "--since", "soon").code == 2


def test_only_the_newest_attempts_are_looked_at_and_it_says_so(direct: DirectStore) -> None:
    ids = rows.waiting(direct, 30)
    fail(direct, ids, "down")
    report = direct.run(failures.report, timedelta(hours=1), sample=10)
    assert (report.looked_at, report.cut) == (10, True)
    assert report.groups[0].attempts == 10


def test_a_limit_leaves_out_the_smallest_groups(direct: DirectStore) -> None:
    for name in ("a", "b", "c"):
        fail(direct, rows.waiting(direct, name=name), "down")
    answer = done("failures", "--limit", "2")
    assert len(answer.lines) == 3
    assert "There are 1 more group: --limit 4" in answer.err


def test_a_task_that_was_archived_or_buried_is_found_with_its_name(direct: DirectStore) -> None:
    gone, dead = rows.waiting(direct, 2)
    fail(direct, [gone, dead], "down")
    done("task", "cancel", str(gone))
    rows.bury(direct, [dead])
    [group] = done("failures", "--format", "json").json["groups"]
    assert (group["tasks"], group["dead"]) == (2, 1)
