"""``celers explain`` finds, on a real database, what keeps a task from running."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from celers_worker.core.orders import Limits, WorkerState
from celers_worker.core.task import new_id
from celers_worker.store import control, maintenance, orders, sql
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors
from tests.store import flows


def explained(task_id: UUID) -> dict[str, Any]:
    document: dict[str, Any] = done("explain", str(task_id), "--format", "json").json
    return document


def codes(task_id: UUID) -> list[str]:
    return [reason["code"] for reason in explained(task_id)["reasons"]]


def register(direct: DirectStore, **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": "worker-1",
        "name": "mail-1",
        "host": "host-1",
        "pid": 4711,
        "version": "1.0",
        "queues": [],
        "handlers": ["send"],
        "concurrency": 2,
    }
    card = maintenance.WorkerCard(**values | changes)
    direct.run(maintenance.register, card, timedelta(minutes=5))


def test_a_task_that_waits_is_explained_as_long_as_something_stands_in_its_way(
    direct: DirectStore,
) -> None:
    [task_id] = rows.waiting(direct)
    assert codes(task_id) == ["no_worker"]
    register(direct, queues=["elsewhere"])
    assert codes(task_id) == ["queue_unserved"]
    register(direct, id="worker-2", handlers=["other"])
    assert codes(task_id) == ["no_worker_for_both"]
    register(direct, id="worker-3", name="mail-3")
    assert codes(task_id) == ["next"]
    direct.run(orders.want_state, ["worker-3"], WorkerState.QUIET, "ada")  # asked, not followed yet
    assert codes(task_id) == ["next"]
    direct.run(maintenance.renew, "worker-3", timedelta(minutes=5), running=0, state="quiet")
    assert codes(task_id) == ["worker_quiet"]


def test_pauses_and_circuits_are_told_with_who_and_what_ends_them(direct: DirectStore) -> None:
    register(direct)
    [task_id] = rows.waiting(direct)
    direct.run(control.pause, "default", "ada@host: maintenance")
    direct.run(orders.pause, "send", "by grace")
    direct.run(orders.open_circuit, "send", "ConnectionError: down", 30.0)
    shown = done("explain", str(task_id)).out
    assert "ada@host: maintenance" in shown
    assert "by grace" in shown
    assert "ConnectionError: down. One task is tried in" in shown
    assert "next: celers queue resume default" in shown
    assert "next: celers queue resume --handler send" in shown
    assert codes(task_id) == ["queue_paused", "handler_paused", "circuit_open"]


def test_a_reached_limit_names_the_tasks_that_take_the_room(direct: DirectStore) -> None:
    register(direct, limits=Limits(others=2, handlers={"send": 1}))
    running = rows.running(direct)
    [task_id] = rows.waiting(direct)
    [reason] = explained(task_id)["reasons"]
    assert reason["code"] == "handler_limit"
    assert str(running) in reason["text"]


def test_a_task_in_line_is_told_what_comes_before_it(direct: DirectStore) -> None:
    register(direct, handlers=["send", "held"])
    low = rows.waiting(direct, priority=-1)[0]
    first, second = rows.waiting(direct, 2)
    rows.waiting(direct, name="held", priority=9)
    rows.waiting(direct, queue="another", priority=9)
    direct.run(orders.pause, "held", None)
    document = explained(low)
    assert [reason["code"] for reason in document["reasons"]] == ["in_line"]
    assert document["before"]["count"] == 2
    assert {one["id"] for one in document["before"]["first"]} == {str(first), str(second)}
    shown = done("explain", str(low)).out
    assert "2 due tasks of its queue before it:" in shown
    assert str(first) in shown


def test_a_scheduled_and_an_expired_task_are_told(direct: DirectStore) -> None:
    register(direct)
    [later] = rows.waiting(direct, delay=timedelta(hours=1))
    [expired] = rows.waiting(direct, expires=timedelta(hours=1))
    rows.change(direct, expired, expires_at=sql.later(-60))
    [again] = rows.waiting(direct, delay=timedelta(hours=1))
    rows.change(direct, again, retry_count=1, error_message="ValueError: no")
    assert [codes(one) for one in (later, expired, again)] == [
        ["scheduled"],
        ["expired"],
        ["retry"],
    ]


def test_a_task_that_runs_is_told_with_its_worker(direct: DirectStore) -> None:
    register(direct)
    task_id = rows.running(direct)
    document = explained(task_id)
    [reason] = document["reasons"]
    assert (reason["code"], document["stands"]) == ("runs", False)
    assert "at mail-1 (worker-1), whose lease lasts" in reason["text"]
    rows.change(direct, task_id, worker_id="somebody-gone")
    assert codes(task_id) == ["worker_lost"]


def test_a_blocked_task_names_its_parents(direct: DirectStore) -> None:
    register(direct)
    _, steps = flows.enqueue(direct, "fetch>send")
    parent, child = steps["fetch"], steps["send"]
    [reason] = explained(child)["reasons"]
    assert reason["code"] == "waits_for"
    assert str(parent) in reason["text"]
    assert reason["command"] == f"celers explain {parent}"


def test_tasks_that_have_ended_are_told_how(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)
    assert codes(dead) == ["dead"]
    shown = done("explain", str(dead)).out
    assert "gave up. Last error: ValueError: no such user" in shown
    assert f"next: celers dlq requeue {dead}" in shown
    [cancelled] = rows.waiting(direct)
    done("task", "cancel", str(cancelled))
    assert codes(cancelled) == ["cancelled"]


def test_a_dead_task_whose_unique_key_is_taken_is_told_by_whom(direct: DirectStore) -> None:
    [dead] = rows.with_keys(direct, ["welcome"])
    rows.bury(direct, [dead])
    [holder] = rows.with_keys(direct, ["welcome"])
    reasons = explained(dead)["reasons"]
    assert [reason["code"] for reason in reasons] == ["dead", "unique_conflict"]
    assert reasons[1]["command"] == f"celers explain {holder}"


def test_an_unknown_task_is_an_error(direct: DirectStore) -> None:
    answer = celers("explain", str(new_id()))
    assert answer.code == 1
    assert errors(answer)[0].startswith("there is no task")
    assert celers("explain", "no-id").code == 2
