"""What a database shared with CeleRS's own programs has that hinders either. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import func, inspect, select

from celers_worker.core.task import LIVE
from celers_worker.store import sql, statements, sweeps
from celers_worker.store.diagnosis import Finding, Severity
from celers_worker.store.schema import tasks
from celers_worker.store.transaction import Transaction

#: A row that a worker has not adopted in this time, nobody sweeps for.
UNADOPTED_AFTER = timedelta(minutes=1)


def examine(transaction: Transaction) -> list[Finding]:
    """Look at the rows and the rules of the table that CeleRS writes to."""
    return [
        *_claimed_by_others(transaction),
        *_ended_by_others(transaction),
        *_never_adopted(transaction),
        *_checks(transaction),
        *_time_zone(transaction),
    ]


def _claimed_by_others(transaction: Transaction) -> Iterator[Finding]:
    number = _count(
        transaction, tasks.c.state == statements.PROCESSING, tasks.c.worker_id.is_(None)
    )
    if number:
        yield Finding(
            severity=Severity.ERROR,
            what=f"{number:,} tasks are processing without a worker: a CeleRS worker took them",
            why="It takes tasks of every queue and renews no lease. What it took is given to "
            "another worker an hour after its start, and may then run twice.",
            mend="stop the CeleRS workers on this database; see: celers task list -s processing",
        )


def _ended_by_others(transaction: Transaction) -> Iterator[Finding]:
    known = [state.value for state in LIVE]
    number = _count(transaction, tasks.c.state.not_in(known))
    if number:
        yield Finding(
            severity=Severity.WARNING,
            what=f"{number:,} rows of celers_tasks are in a state that is none of a live task",
            why="CeleRS leaves its ended tasks in this table. They make it large, and no retention "
            "of ours is about them.",
            mend=f"DELETE FROM celers_tasks WHERE state NOT IN ({_listed(known)})",
        )


def _never_adopted(transaction: Transaction) -> Iterator[Finding]:
    number = _count(
        transaction,
        tasks.c.state == statements.PENDING,
        tasks.c.queue_name == sweeps.UNADOPTED,
        tasks.c.created_at < sql.later(-UNADOPTED_AFTER.total_seconds()),
        tasks.c.scheduled_at <= sql.now(),
    )
    if number:
        yield Finding(
            severity=Severity.ERROR,
            what=f"{number:,} tasks of foreign producers have waited over a minute for their queue",
            why="A worker reads it from their metadata when it looks for tasks: none does.",
            mend="celers worker",
        )


def _checks(transaction: Transaction) -> Iterator[Finding]:
    connection = transaction.connection
    for check in inspect(connection).get_check_constraints(tasks.name):
        written = check["sqltext"].lower()
        refused = [state.value for state in sorted(LIVE) if f"'{state.value}'" not in written]
        if "state" not in written or "'pending'" not in written or not refused:
            continue
        name = connection.dialect.identifier_preparer.quote(str(check["name"]))
        yield Finding(
            severity=Severity.ERROR,
            what=f"the CHECK {check['name']} of celers_tasks does not allow {_listed(refused)}",
            why="The table was made by CeleRS: tasks that wait for others cannot be stored.",
            mend=f"ALTER TABLE celers_tasks DROP CONSTRAINT {name}",
        )


def _time_zone(transaction: Transaction) -> Iterator[Finding]:
    """Whether NOW(), which CeleRS writes, is UTC in a session that says nothing about it."""
    offset = transaction.producers_offset()
    if offset:
        yield Finding(
            severity=Severity.ERROR,
            what=f"NOW() of a new session is {offset:+,.0f} seconds from UTC",
            why="CeleRS writes NOW() into columns that are in UTC: its tasks are due too early or "
            "too late by that.",
            mend="SET GLOBAL time_zone = '+00:00'  (and in the server's configuration)",
        )


def _count(transaction: Transaction, *conditions: Any) -> int:
    query = select(func.count()).select_from(tasks).where(*conditions)
    return int(transaction.connection.execute(query).scalar_one())


def _listed(states: list[str]) -> str:
    return ", ".join(f"'{state}'" for state in states)
