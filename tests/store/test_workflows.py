"""A workflow on every database: what waits is unblocked in the settle of what it waits for."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Failure, Settlement
from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.task import TaskState
from celers_worker.core.workflow import Edge, NewWorkflow, Policy, WorkflowState
from celers_worker.store import Store, StoreOptions, control, inspect
from celers_worker.store.direct import DirectStore
from celers_worker.store.inspect import TaskFilter
from celers_worker.store.workflow import enqueueing, reopening, stopping
from celers_worker.store.workflow import inspect as flows
from tests.store.conftest import OpenStore
from tests.store.flows import claim, end, enqueue, errors, flow, payload, run, states
from tests.store.steps import (
    WORKER,
    any_queue,
    execute,
    live_row,
    live_rows,
    lose_worker,
    new_task,
    new_tasks,
    start_worker,
)

BROKEN = Dead("gave up", Failure("ValueError", "no such page"))


async def test_a_failure_that_was_tolerated_is_not_the_one_that_is_named(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>c:skip b>c:skip")
    worse = Dead("gave up", Failure("TypeError", "not without them"))
    await run(store, {"a": BROKEN, "c": worse})
    assert states(direct, workflow)["*"] == "failed"
    assert errors(direct, workflow)["*"] == f"c ({names['c']}) failed: TypeError: not without them"


async def test_the_failure_that_ended_others_is_the_one_that_is_named(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>c:skip b>c c>d")
    await run(store, {"a": BROKEN, "b": BROKEN})
    assert errors(direct, workflow)["*"] == f"b ({names['b']}) failed: ValueError: no such page"


async def test_a_chain_runs_in_its_order(store: Store, direct: DirectStore) -> None:
    workflow, _ = enqueue(direct, "a>b b>c")
    assert states(direct, workflow) == {
        "a": "pending",
        "b": "blocked",
        "c": "blocked",
        "*": "running",
    }
    assert await run(store) == ["a", "b", "c"]
    assert set(states(direct, workflow).values()) == {"completed"}


async def test_a_step_with_several_parents_waits_for_all_of_them(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>d b>d c>d")
    claimed = await claim(store)
    assert sorted(claimed) == ["a", "b", "c"]
    await end(store, claimed["c"])
    await end(store, claimed["a"])
    assert states(direct, workflow)["d"] == "blocked"
    await end(store, claimed["b"])
    assert await run(store) == ["d"]
    assert states(direct, workflow)["*"] == "completed"


async def test_parents_that_end_in_one_settle_unblock_their_child_once(
    store: Store, direct: DirectStore
) -> None:
    enqueue(direct, "a>c b>c")
    claimed = await claim(store)
    await store.settle(WORKER, [Settlement(task, Completed()) for task in claimed.values()])
    assert await run(store) == ["c"]


async def test_without_an_archive_it_goes_the_same_way(
    open_store: OpenStore, direct: DirectStore
) -> None:
    store = await open_store(StoreOptions(keep_completed=False))
    workflow, _ = enqueue(direct, "a>b b>c")
    assert await run(store) == ["a", "b", "c"]
    assert states(direct, workflow) == dict.fromkeys(["a", "b", "c", "*"], "completed")


async def test_plain_tasks_beside_it_are_settled_in_the_same_batch(
    store: Store, direct: DirectStore
) -> None:
    enqueue(direct, "a>b")
    await store.enqueue(new_tasks(3))
    claimed = await store.claim(WORKER, any_queue(10))
    assert [task.in_workflow for task in sorted(claimed, key=lambda task: task.name)] == [
        True,
        False,
        False,
        False,
    ]
    settled = await store.settle(WORKER, [Settlement(task, Completed()) for task in claimed])
    assert len(settled) == 4
    assert await run(store) == ["b"]


# --- results ---


async def test_results_are_put_where_the_edges_say(store: Store, direct: DirectStore) -> None:
    new, names = flow("", steps="a b c")
    target = new_task(name="d", payload=b'{"x": 1, "all": [null, [null]]}')
    edges = [
        Edge(names["a"], target.id, path=("all", 0)),
        Edge(names["b"], target.id, path=("all", 1, 0)),
        Edge(names["c"], target.id, path=("one",)),
    ]
    direct.run(
        enqueueing.enqueue,
        NewWorkflow(steps=[*new.steps, target], edges=edges),
    )
    await run(store)
    assert payload(direct, target.id) == {"x": 1, "all": ["a", ["b"]], "one": "c"}


async def test_a_parent_that_returned_nothing_passes_on_none(
    store: Store, direct: DirectStore
) -> None:
    _, names = enqueue(direct, "a>b@x")
    await run(store, {"a": Completed()})
    assert payload(direct, names["b"]) == {"x": None}


async def test_results_that_do_not_fit_make_a_dead_letter_that_says_so(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>c@x b>c@y c>d")
    large = Completed(b'"' + b"x" * (SIZE_LIMIT // 2 + 10) + b'"')
    await run(store, {"a": large, "b": large})
    view = direct.run(inspect.task, names["c"])
    assert view is not None
    assert (view.state, view.reason) == (
        TaskState.FAILED,
        "the results it waits for are too large",
    )
    assert "more than the limit of 1,048,576" in (view.error or "")
    assert states(direct, workflow) == {
        "a": "completed",
        "b": "completed",
        "c": "failed",
        "d": "cancelled",
        "*": "failed",
    }


# --- when a step does not complete ---


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (BROKEN, "failed: ValueError: no such page"),
        (Cancelled("no more"), "was cancelled: no more"),
        (Expired(), "expired"),
    ],
    ids=["dead", "cancelled", "expired"],
)
async def test_what_waits_for_a_step_that_did_not_complete_is_cancelled_with_the_reason(
    store: Store, direct: DirectStore, outcome: Dead | Cancelled | Expired, word: str
) -> None:
    workflow, names = enqueue(direct, "a>b b>c a>d")
    assert await run(store, {"a": outcome}) == ["a"]
    reason = f"it waits for a ({names['a']}), which {word}"
    told = errors(direct, workflow)
    assert (told["b"], told["c"], told["d"]) == (reason, reason, reason)
    assert told["*"] == f"a ({names['a']}) {word}"
    assert states(direct, workflow)["*"] == "failed"
    assert live_rows(direct) == []
    view = direct.run(inspect.task, names["c"])
    assert view is not None
    assert (view.state, view.error) == (TaskState.CANCELLED, reason)


@pytest.mark.parametrize(
    ("policy", "given"), [("skip", {"y": "b"}), ("continue", {"x": None, "y": "b"})]
)
async def test_a_tolerant_step_runs_without_the_result_that_is_missing(
    store: Store, direct: DirectStore, policy: str, given: dict[str, str | None]
) -> None:
    workflow, names = enqueue(direct, f"a>c@x:{policy} b>c@y:{policy}")
    assert sorted(await run(store, {"a": BROKEN})) == ["a", "b", "c"]
    assert payload(direct, names["c"]) == given
    assert states(direct, workflow) == {
        "a": "failed",
        "b": "completed",
        "c": "completed",
        "*": "completed",
    }


async def test_a_step_is_given_up_as_soon_as_one_of_its_parents_makes_it_impossible(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>c b>c")
    claimed = await claim(store)
    await end(store, claimed["a"], BROKEN)
    assert states(direct, workflow) == {
        "a": "failed",
        "b": "processing",
        "c": "cancelled",
        "*": "running",
    }
    await end(store, claimed["b"])
    assert states(direct, workflow)["*"] == "failed"


async def test_a_handler_of_a_failure_runs_with_what_happened(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>b a>h@error:on_failure")
    assert await run(store, {"a": BROKEN}) == ["a", "h"]
    assert payload(direct, names["h"]) == {
        "error": {
            "id": str(names["a"]),
            "name": "a",
            "state": "failed",
            "error": "ValueError: no such page",
        }
    }
    assert states(direct, workflow)["*"] == "failed"


async def test_a_handler_of_a_failure_that_did_not_come_never_runs(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b a>h@error:on_failure")
    assert await run(store) == ["a", "b"]
    assert states(direct, workflow) == {
        "a": "completed",
        "b": "completed",
        "h": "cancelled",
        "*": "completed",
    }


@pytest.mark.parametrize("fails", [True, False])
async def test_what_follows_the_whole_waits_for_its_end(
    store: Store, direct: DirectStore, fails: bool
) -> None:
    new, _ = flow("a>b", name="nightly")
    handler = new_task(name="h")
    edge = Edge(new.id, handler.id, Policy.ON_FAILURE, ("error",))
    whole = NewWorkflow(
        id=new.id, name=new.name, steps=[*new.steps, handler], edges=[*new.edges, edge]
    )
    direct.run(enqueueing.enqueue, whole)
    ran = await run(store, {"b": BROKEN} if fails else {})
    assert ran == (["a", "b", "h"] if fails else ["a", "b"])
    assert states(direct, new.id)["*"] == ("failed" if fails else "completed")
    if fails:
        error = payload(direct, handler.id)["error"]
        assert (error["id"], error["name"], error["state"]) == (str(new.id), "nightly", "failed")
        assert "ValueError: no such page" in error["error"]
    assert live_rows(direct) == []


async def test_a_step_whose_worker_died_too_often_fails_its_children(
    store: Store, direct: DirectStore
) -> None:
    from celers_worker.store import maintenance

    workflow, _ = enqueue(direct, "a>b")
    await start_worker(store)
    assert list(await claim(store)) == ["a"]
    await lose_worker(store)
    await store.run(maintenance.reap, max_crashes=1)
    assert states(direct, workflow) == {"a": "failed", "b": "cancelled", "*": "failed"}


# --- a delay counts from the unblocking ---


async def test_a_delayed_step_is_due_so_long_after_it_was_unblocked(
    store: Store, direct: DirectStore
) -> None:
    first, later = new_task(name="a"), new_task(name="b", delay=timedelta(hours=1))
    direct.run(
        enqueueing.enqueue, NewWorkflow(steps=[first, later], edges=[Edge(first.id, later.id)])
    )
    execute(direct, "UPDATE celers_tasks SET scheduled_at = created_at WHERE task_name = 'b'")
    assert await run(store) == ["a"]
    row = live_row(direct, later.id)
    assert row.state == "pending"
    assert row.scheduled_at - row.created_at > timedelta(minutes=59)


# --- cancel ---


async def test_cancelled_as_a_whole_nothing_of_it_starts_any_more(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>b b>c", steps="x")
    claimed = await claim(store)
    await end(store, claimed["a"])
    assert direct.run(stopping.cancel, workflow, "not needed") is WorkflowState.RUNNING
    assert states(direct, workflow) == {
        "a": "completed",
        "b": "cancelled",
        "c": "cancelled",
        "x": "processing",
        "*": "running",
    }
    assert live_row(direct, names["x"]).cancel_reason == "its workflow: not needed"
    await end(store, claimed["x"], Cancelled("stopped"))
    assert states(direct, workflow)["*"] == "cancelled"
    assert errors(direct, workflow)["*"] == "not needed"
    assert direct.run(stopping.cancel, workflow, "again") is WorkflowState.CANCELLED


async def test_cancelled_before_anything_ran_it_ends_at_once(direct: DirectStore) -> None:
    workflow, _ = enqueue(direct, "a>b a>h@error:on_failure")
    direct.run(stopping.cancel, workflow, "no")
    assert set(states(direct, workflow).values()) == {"cancelled"}
    assert live_rows(direct) == []


async def test_one_step_cancelled_by_its_id_ends_what_waits_for_it(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>b b>c")
    direct.run(control.cancel, TaskFilter(ids=[names["b"]]), "by hand")
    assert await run(store) == ["a"]
    assert states(direct, workflow) == {
        "a": "completed",
        "b": "cancelled",
        "c": "cancelled",
        "*": "failed",
    }


# --- try again ---


async def test_retried_from_the_failed_step_the_others_keep_their_results(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>b@x b>c@y c>d")
    assert await run(store, {"b": BROKEN}) == ["a", "b"]
    assert direct.run(reopening.retry, workflow, control.move_back) == 3
    assert states(direct, workflow) == {
        "a": "completed",
        "b": "pending",
        "c": "blocked",
        "d": "blocked",
        "*": "running",
    }
    assert await run(store) == ["b", "c", "d"]
    assert payload(direct, names["b"]) == {"x": "a"}
    assert payload(direct, names["c"]) == {"y": "b"}
    assert states(direct, workflow)["*"] == "completed"


async def test_requeued_from_the_dead_letter_queue_its_workflow_goes_on(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>b b>c a>h:on_failure")
    assert await run(store, {"a": BROKEN}) == ["a", "h"]
    direct.run(control.requeue, TaskFilter(ids=[names["a"]]))
    assert states(direct, workflow) | {"h": ""} == {
        "a": "pending",
        "b": "blocked",
        "c": "blocked",
        "h": "",
        "*": "running",
    }
    assert await run(store) == ["a", "b", "c"]
    assert states(direct, workflow)["*"] == "completed"


async def test_a_handler_that_was_not_needed_is_there_again_after_a_retry(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b b>h:on_failure")
    await run(store, {"a": BROKEN})
    assert states(direct, workflow)["h"] == "cancelled"
    direct.run(reopening.retry, workflow, control.move_back)
    assert await run(store, {"b": BROKEN}) == ["a", "b", "h"]


async def test_a_child_whose_other_parent_is_still_dead_stays_given_up(
    store: Store, direct: DirectStore
) -> None:
    workflow, names = enqueue(direct, "a>c b>c")
    claimed = await claim(store)
    await end(store, claimed["a"], BROKEN)
    await end(store, claimed["b"], BROKEN)
    direct.run(control.requeue, TaskFilter(ids=[names["a"]]))
    assert await run(store) == ["a"]
    assert states(direct, workflow) == {
        "a": "completed",
        "b": "failed",
        "c": "cancelled",
        "*": "failed",
    }
    assert direct.run(control.retry, names["b"]) is TaskState.FAILED
    assert await run(store) == ["b", "c"]
    assert states(direct, workflow)["*"] == "completed"


async def test_a_cancelled_workflow_can_be_taken_up_again(
    store: Store, direct: DirectStore
) -> None:
    workflow, _ = enqueue(direct, "a>b b>c")
    claimed = await claim(store)
    await end(store, claimed["a"])
    direct.run(stopping.cancel, workflow, "no")
    assert direct.run(reopening.retry, workflow, control.move_back) == 2
    assert await run(store) == ["b", "c"]
    assert states(direct, workflow)["*"] == "completed"
    assert errors(direct, workflow)["*"] is None


# --- an enqueue whose answer was lost, and who asks ---


def test_enqueued_again_after_a_lost_answer_it_is_there_once(direct: DirectStore) -> None:
    new, _ = flow("a>b")
    direct.run(enqueueing.enqueue, new)
    direct.run(enqueueing.enqueue, new, repeated=True)
    assert len(live_rows(direct)) == 2


async def test_the_whole_returns_its_results_in_their_shape(
    store: Store, direct: DirectStore
) -> None:
    new, names = flow("a>b a>c")
    shape = {"both": [names["b"], [names["c"]]], "nothing": None}
    direct.run(
        enqueueing.enqueue,
        NewWorkflow(id=new.id, steps=new.steps, edges=new.edges, result=shape),  # type: ignore[arg-type]
    )
    ending = direct.run(flows.ending_of, new.id)
    assert ending is not None
    assert ending.state is WorkflowState.RUNNING
    await run(store)
    ending = direct.run(flows.ending_of, new.id)
    assert ending is not None
    assert ending.value == {"both": ["b", ["c"]], "nothing": None}
    assert direct.run(flows.ending_of, UUID(int=7)) is None


def test_a_list_shows_the_newest_first_with_how_far_they_are(direct: DirectStore) -> None:
    first, _ = enqueue(direct, "a>b", name="nightly")
    second, _ = enqueue(direct, "", steps="x y z")
    [newer, older] = direct.run(flows.list_workflows)
    assert (newer.id, older.id, older.name) == (second, first, "nightly")
    assert newer.counts == {TaskState.PENDING: 3}
    assert older.counts == {TaskState.PENDING: 1, TaskState.BLOCKED: 1}
    assert [view.id for view in direct.run(flows.list_workflows, before=second)] == [first]
    assert [view.id for view in direct.run(flows.list_workflows, name="nightly")] == [first]
    ended = direct.run(flows.list_workflows, states=[WorkflowState.FAILED])
    assert ended == []
