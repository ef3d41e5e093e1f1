"""Whatever was lost, no workflow hangs: the reconciler finds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from celers_worker.core.outcome import Cancelled, Dead, Failure
from celers_worker.core.workflow import Edge, NewWorkflow, Policy
from celers_worker.store import Store, pruning, sql
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import task_edges, tasks, workflow_steps, workflows
from celers_worker.store.workflow import enqueueing, mending
from tests.store.flows import claim, end, enqueue, errors, flow, run, states
from tests.store.steps import execute, live_row, live_rows, new_task

BROKEN = Dead("gave up", Failure("ValueError", "no such page"))


def reconcile(direct: DirectStore, **options: Any) -> mending.Mended:
    """As if nobody had looked for long."""
    return direct.run(mending.reconcile, **{"interval": 0.0, "grace": 0.0} | options)


def change(direct: DirectStore, table: Any, *where: Any, **values: Any) -> None:
    """Change rows, as no code of ours would."""
    direct.run(
        lambda transaction: transaction.connection.execute(
            update(table).where(*where).values(**values)
        )
    )


async def test_a_step_whose_end_was_not_noted_is_looked_up_and_what_waits_for_it_goes_on(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b b>c")
    # Outside its workflow, as if it had been claimed before somebody waited for it.
    change(direct, tasks, tasks.c.task_name == "a", workflow_id=None)
    assert await run(store) == ["a"]
    assert states(direct, workflow)["b"] == "blocked"
    reconcile(direct)
    assert await run(store) == ["b", "c"]
    assert states(direct, workflow)["*"] == "completed"


@pytest.mark.parametrize(("outcome", "word"), [(BROKEN, "failed"), (Cancelled("no"), "cancelled")])
async def test_an_end_that_was_not_noted_is_told_as_what_it_was(
    store: Store, direct: DirectStore, outcome: Any, word: str
) -> None:
    workflow, _ = enqueue(direct, "a>b")
    change(direct, tasks, tasks.c.task_name == "a", workflow_id=None)
    await run(store, {"a": outcome})
    reconcile(direct)
    assert states(direct, workflow) == {"a": word, "b": "cancelled", "*": "failed"}
    assert live_rows(direct) == []


async def test_a_step_whose_row_is_gone_is_given_up_with_the_reason(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>b b>c")
    execute(direct, "DELETE FROM celers_tasks WHERE task_name = 'a'")
    reconcile(direct, grace=60.0)
    assert states(direct, workflow)["b"] == "blocked"  # it may come yet
    reconcile(direct)
    assert states(direct, workflow) == {
        "a": "failed",
        "b": "cancelled",
        "c": "cancelled",
        "*": "failed",
    }
    assert f"a ({names['a']}), which failed: nothing is known of it" in str(
        errors(direct, workflow)["c"]
    )


async def test_a_parent_that_no_workflow_knows_does_not_hold_its_child(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b", steps="x")
    execute(direct, "DELETE FROM celers_workflow_steps WHERE name = 'a'")
    reconcile(direct)
    assert states(direct, workflow)["b"] == "cancelled"


async def test_a_ready_step_that_stayed_blocked_is_unblocked(
    store: Store, direct: DirectStore
) -> None:
    enqueue(direct, "a>b")
    await run(store)
    _, names = enqueue(direct, "c>d")
    change(direct, workflow_steps, workflow_steps.c.name == "c", state="completed")
    assert reconcile(direct).checked == 1
    assert live_row(direct, names["d"]).state == "pending"


async def test_a_workflow_that_nobody_ended_is_ended(store: Store, direct: DirectStore) -> None:
    workflow, _ = enqueue(direct, "a>b")
    await run(store)
    change(direct, workflows, state="running", completed_at=None)
    reconcile(direct)
    assert states(direct, workflow)["*"] == "completed"


async def test_a_blocked_task_that_no_workflow_knows_is_cancelled(
    store: Store, direct: DirectStore
) -> None:
    enqueue(direct, "a>b")
    [stranded] = [one.id for one in await store.enqueue([new_task(name="lost")])]
    change(direct, tasks, tasks.c.id == stranded, state="blocked")
    assert direct.run(mending.free_stranded) == 1
    assert {row.task_name for row in live_rows(direct)} == {"a", "b"}
    assert direct.run(mending.free_stranded) == 0


async def test_a_healthy_workflow_is_looked_at_once_in_a_while_and_left_alone(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b")
    before = states(direct, workflow)
    assert reconcile(direct).checked == 1
    assert reconcile(direct, interval=3600.0).checked == 0
    assert states(direct, workflow) == before


# --- deadlines ---


async def test_past_its_deadline_a_workflow_is_stopped_and_has_failed(
    store: Store, direct: DirectStore
) -> None:
    new, names = flow("a>b b>c", timeout=timedelta(hours=1))
    handler = new_task(name="h")
    edges = [*new.edges, Edge(new.id, handler.id, Policy.ON_FAILURE)]
    whole = NewWorkflow(
        id=new.id, steps=[*new.steps, handler], edges=edges, timeout=timedelta(hours=1)
    )
    direct.run(enqueueing.enqueue, whole)
    claimed = await claim(store)
    assert reconcile(direct).timed_out == []
    change(direct, workflows, expires_at=sql.later(-1))
    assert reconcile(direct).timed_out == [new.id]
    assert reconcile(direct).timed_out == []
    assert live_row(direct, names["a"]).cancel_requested_at is not None
    await end(store, claimed["a"], Cancelled("stopped"))
    assert await run(store) == ["h"]
    assert states(direct, new.id) == {
        "a": "cancelled",
        "b": "cancelled",
        "c": "cancelled",
        "h": "completed",
        "*": "failed",
    }
    assert errors(direct, new.id)["*"] == "it ran longer than its timeout of 1h"


# --- retention ---


async def rows_of(direct: DirectStore) -> list[int]:
    return [
        execute(direct, f"SELECT count(*) FROM {table.name}")[0][0]
        for table in (workflows, workflow_steps, task_edges)
    ]


async def test_what_has_ended_is_kept_for_its_retention_with_its_steps_and_edges(
    store: Store, direct: DirectStore
) -> None:
    day = timedelta(days=1)
    keep = {"completed": day, "cancelled": day, "expired": day, "dead": 7 * day, "results": day}
    enqueue(direct, "a>b")
    await run(store)
    enqueue(direct, "a>b")
    await run(store, {"a": BROKEN})
    running: UUID
    running, _ = enqueue(direct, "a>b b>c")
    assert await rows_of(direct) == [3, 7, 4]
    assert direct.run(pruning.prune, keep)["workflows"] == 0
    change(direct, workflows, completed_at=sql.later(-2 * 86_400))
    counts = [direct.run(pruning.prune, keep, limit=2)["workflows"] for _ in range(4)]
    assert sum(counts) == 4
    assert await rows_of(direct) == [2, 5, 3]
    change(direct, workflows, completed_at=sql.later(-8 * 86_400))
    direct.run(pruning.prune, keep)
    assert await rows_of(direct) == [1, 3, 2]
    assert states(direct, running)["a"] == "pending"
