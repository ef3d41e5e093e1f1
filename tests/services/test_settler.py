from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from celers_worker import Celers
from celers_worker.core.errors import Refused, Unavailable
from celers_worker.core.events import SettleRefused, TasksSettled
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Failure,
    Outcome,
    Release,
    Retry,
    Settlement,
)
from celers_worker.core.task import Task, TaskState
from celers_worker.store import inspect, make_direct_store
from celers_worker.store.transaction import Transaction
from tests.services.conftest import MakeStaff
from tests.services.crews import Staff, ids, locked, new_task
from tests.services.desk import a_task
from tests.store.steps import any_queue, change_task

FAILURE = Failure("ValueError", "no such user", "Traceback …")
TOO_LATE = Retry(timedelta.max, FAILURE)
"""No database has a date for it."""


async def claimed(staff: Staff, count: int = 1) -> list[Task]:
    await staff.store.enqueue([new_task() for _ in range(count)])
    tasks = await staff.store.claim(staff.crew.identity.id, any_queue(count))
    assert len(tasks) == count
    return tasks


def put(staff: Staff, tasks: Sequence[Task], outcome: Outcome) -> None:
    for task in tasks:
        staff.crew.settler.put(Settlement(task, outcome))


async def state(staff: Staff, task: Task) -> TaskState:
    view = await staff.store.run(inspect.task, task.id)
    assert view is not None
    return view.state


def written(staff: Staff) -> list[list[UUID]]:
    return [[one.task.id for one in event.settlements] for event in staff.seen.of(TasksSettled)]


def refused(staff: Staff) -> list[UUID]:
    return [one.task.id for event in staff.seen.of(SettleRefused) for one in event.settlements]


async def test_outcomes_that_end_together_are_written_together(make_staff: MakeStaff) -> None:
    staff = await make_staff(Celers())
    tasks = await claimed(staff, 5)
    put(staff, tasks, Completed(b"1"))
    assert staff.crew.settler.backlog == 5
    assert staff.crew.settler.unsettled() == set(ids(tasks))
    assert not await staff.crew.settler.tick()
    assert written(staff) == [ids(tasks)]
    assert staff.crew.settler.backlog == 0
    assert {await state(staff, task) for task in tasks} == {TaskState.COMPLETED}


async def test_no_batch_is_larger_than_the_limit(make_staff: MakeStaff) -> None:
    staff = await make_staff(Celers(), settle_batch=2)
    tasks = await claimed(staff, 5)
    put(staff, tasks, Completed())
    while await staff.crew.settler.tick():
        pass
    assert written(staff) == [ids(tasks[:2]), ids(tasks[2:4]), ids(tasks[4:])]


async def test_outcomes_of_all_kinds_are_written_in_one_batch(make_staff: MakeStaff) -> None:
    staff = await make_staff(Celers())
    outcomes: list[tuple[Outcome, TaskState]] = [
        (Completed(b'"done"'), TaskState.COMPLETED),
        (Retry(timedelta(hours=1), FAILURE), TaskState.PENDING),
        (Release(), TaskState.PENDING),
        (Cancelled("nobody wants it"), TaskState.CANCELLED),
        (Dead("gave up", FAILURE), TaskState.FAILED),
    ]
    tasks = await claimed(staff, len(outcomes))
    for task, (outcome, _) in zip(tasks, outcomes, strict=True):
        put(staff, [task], outcome)
    await staff.crew.settler.tick()
    assert [await state(staff, task) for task in tasks] == [after for _, after in outcomes]
    assert written(staff) == [ids(tasks)]


async def test_nothing_to_write_asks_the_database_nothing(make_staff: MakeStaff) -> None:
    staff = await make_staff(Celers())
    await staff.store.close()
    assert not await staff.crew.settler.tick()


async def test_an_outcome_is_kept_until_the_database_has_answered(
    make_staff: MakeStaff, migrated_url: str
) -> None:
    # T29
    staff = await make_staff(Celers(), database__call_timeout="300ms")
    [task] = await claimed(staff)
    put(staff, [task], Completed(b"1"))
    async with locked(migrated_url, "celers_tasks"):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await staff.crew.settler.tick()
            assert staff.crew.settler.backlog == 1
    assert await staff.crew.settler.flush(10)
    assert await state(staff, task) is TaskState.COMPLETED
    assert not refused(staff)


async def test_an_outcome_of_a_lost_lease_changes_nothing_and_is_counted_once(
    make_staff: MakeStaff,
) -> None:
    # T1, T7
    staff = await make_staff(Celers())
    lost, held = await claimed(staff, 2)
    await change_task(staff.store, lost.id, lease=lost.lease + 2)
    put(staff, [lost, held], Completed())
    await staff.crew.settler.tick()
    assert refused(staff) == [lost.id]
    assert written(staff) == [[held.id]]
    assert await state(staff, lost) is TaskState.PROCESSING
    assert staff.crew.settler.backlog == 0


async def test_an_outcome_that_an_unanswered_write_had_written_is_not_counted_as_refused(
    make_staff: MakeStaff, migrated_url: str
) -> None:
    staff = await make_staff(Celers(), database__call_timeout="1s")
    [task] = await claimed(staff)
    put(staff, [task], Completed())
    async with locked(migrated_url, "celers_tasks"):
        with pytest.raises(Unavailable):
            await staff.crew.settler.tick()
    # As if that write had come through, and only its answer had not. By a store with more patience:
    # the server may still be at the write that nobody waits for.
    with make_direct_store(migrated_url) as direct:
        settlement = Settlement(task, Completed())
        direct.run(direct.transaction.settle, staff.crew.identity.id, [settlement])
    await staff.crew.settler.tick()
    assert not refused(staff)
    assert staff.crew.settler.backlog == 0


async def test_a_task_with_an_outcome_that_cannot_be_stored_is_buried_alone(
    make_staff: MakeStaff,
) -> None:
    staff = await make_staff(Celers())
    tasks = await claimed(staff, 4)
    first, bad, last, lost = tasks
    await change_task(staff.store, lost.id, lease=lost.lease + 2)
    for task in tasks:
        put(staff, [task], TOO_LATE if task is bad else Completed())
    await staff.crew.settler.tick()
    assert [await state(staff, task) for task in (first, bad, last)] == [
        TaskState.COMPLETED,
        TaskState.FAILED,
        TaskState.COMPLETED,
    ]
    view = await staff.store.run(inspect.task, bad.id)
    assert view is not None
    assert view.reason == "its outcome cannot be stored"
    assert staff.crew.settler.backlog == 0
    assert refused(staff) == [lost.id]


async def test_a_refusal_that_is_not_about_the_outcome_buries_no_task(
    make_staff: MakeStaff,
) -> None:
    # A right that was taken away for a while, or a table: the work was done, and stays done.
    staff = await make_staff(Celers())
    tasks = await claimed(staff, 2)
    put(staff, tasks, Completed())
    await staff.store.run(_rename, "celers_task_archive", "celers_away")
    try:
        with pytest.raises(Refused):
            await staff.crew.settler.tick()
        assert staff.crew.settler.backlog == 2
    finally:
        await staff.store.run(_rename, "celers_away", "celers_task_archive")
    await staff.crew.settler.tick()
    assert [await state(staff, task) for task in tasks] == [TaskState.COMPLETED] * 2


def _rename(transaction: Transaction, table: str, name: str) -> None:
    transaction.connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


@pytest.mark.parametrize("reason", ["NUL \0", "surrogate \ud800"], ids=["NUL", "surrogate"])
async def test_a_text_that_no_database_holds_does_not_stop_the_settler(
    make_staff: MakeStaff, reason: str
) -> None:
    staff = await make_staff(Celers())
    bad, good = await claimed(staff, 2)
    put(staff, [bad], Cancelled(reason))
    put(staff, [good], Completed())
    await staff.crew.settler.tick()
    assert await state(staff, bad) in {TaskState.FAILED, TaskState.CANCELLED}
    assert await state(staff, good) is TaskState.COMPLETED
    assert staff.crew.settler.backlog == 0


async def test_flushing_gives_up_in_time(make_staff: MakeStaff, migrated_url: str) -> None:
    staff = await make_staff(Celers(), database__call_timeout="100ms")
    [task] = await claimed(staff)
    put(staff, [task], Completed())
    async with locked(migrated_url, "celers_tasks"):
        assert not await staff.crew.settler.flush(0.2)
    assert await staff.crew.settler.flush(10)


async def test_an_outcome_of_a_task_that_never_was_is_refused(make_staff: MakeStaff) -> None:
    staff = await make_staff(Celers())
    put(staff, [task := a_task()], Completed())
    await staff.crew.settler.tick()
    assert refused(staff) == [task.id]


async def test_the_lag_is_the_age_of_the_oldest_outcome_that_is_not_written(
    make_staff: MakeStaff, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff = await make_staff(Celers())
    await staff.enter()
    settler = staff.crew.settler
    assert (settler.lag, settler.written) == (0.0, 0)
    first, second = await claimed(staff, 2)

    async def away(*_: object) -> set[UUID]:
        raise Unavailable("away")

    monkeypatch.setattr(settler, "_settle", away)
    put(staff, [first], Completed())
    with pytest.raises(Unavailable):
        await settler.tick()
    began = settler.lag
    put(staff, [second], Completed())
    with pytest.raises(Unavailable):
        await settler.tick()
    assert settler.lag > began > 0
    assert settler.written == 0
    monkeypatch.undo()
    await settler.tick()
    assert (settler.lag, settler.written, settler.backlog) == (0.0, 2, 0)
