"""What CeleRS producers say about the order of their tasks is honoured (G6, G10)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from celers_worker.core.outcome import Dead, Failure
from celers_worker.store import Store
from celers_worker.store.direct import DirectStore
from celers_worker.store.workflow import inspect as flows
from celers_worker.store.workflow import mending
from tests.store.flows import claim, end, run
from tests.store.steps import execute, live_row, live_rows

BROKEN = Dead("gave up", Failure("ValueError", "no such page"))
_INSERT = (
    "INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, metadata,"
    " created_at, scheduled_at) VALUES (:id, :name, :payload, 'pending', 0, 3, :metadata,"
    " {now}, {due})"
)
_NOW = {"sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now')"}
_CENTURY = {
    "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '+100 years')",
    "postgresql": "NOW() + INTERVAL '100 years'",
    "mysql": "NOW() + INTERVAL 100 YEAR",
}
Produce = Callable[..., UUID]


@pytest.fixture
def produce(direct: DirectStore) -> Produce:
    """Inserts as CeleRS does; later: its row is scheduled a century ahead."""
    backend = direct.url.get_backend_name()
    now = _NOW.get(backend, "NOW()")

    def insert(name: str, *, later: bool = False, **metadata: Any) -> UUID:
        task_id = UUID(str(metadata.pop("task_id", uuid4())))
        statement = _INSERT.format(now=now, due=_CENTURY[backend] if later else now)
        document = json.dumps({"queue": "emails", "id": str(task_id), "name": name} | metadata)
        execute(direct, statement, id=str(task_id), name=name, payload=b"{}", metadata=document)
        return task_id

    return insert


def mend(direct: DirectStore, **options: Any) -> None:
    direct.run(mending.reconcile, **{"interval": 0.0} | options)


def shown(direct: DirectStore) -> dict[str, str]:
    """The states of the steps of all workflows."""
    found = {}
    for view in direct.run(flows.list_workflows):
        graph = direct.run(flows.graph, view.id)
        assert graph is not None
        found |= {step.name: step.state.value for step in graph.steps}
    return found


async def test_a_task_with_dependencies_waits_until_they_have_completed(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    # G6
    first, second = produce("first"), produce("second")
    child = produce("child", dependencies=[str(first), str(second)])
    claimed = await claim(store)
    assert sorted(claimed) == ["first", "second"]
    await end(store, claimed["first"])
    assert live_row(direct, child).state == "blocked"
    await end(store, claimed["second"])
    assert await run(store) == ["child"]
    assert shown(direct) == dict.fromkeys(["first", "second", "child"], "completed")


async def test_a_failed_dependency_ends_the_task_with_the_reason(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    first = produce("first")
    produce("child", dependencies=[str(first)])
    assert await run(store, {"first": BROKEN}) == ["first"]
    [view] = direct.run(flows.list_workflows)
    graph = direct.run(flows.graph, view.id)
    assert graph is not None
    assert f"first ({first}), which failed" in str(graph.steps[-1].error)
    assert (view.state, view.name) == ("failed", "dependencies of child")


async def test_dependencies_that_ended_before_count_by_how_they_ended(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    done, dead = produce("done"), produce("dead")
    await run(store, {"dead": BROKEN})
    produce("runs", dependencies=[str(done)])
    produce("never", dependencies=[str(done), str(dead)])
    assert await run(store) == ["runs"]
    assert live_rows(direct) == []


async def test_a_dependency_that_runs_already_is_found_by_the_reconciler_at_the_latest(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    first = produce("first")
    claimed = await claim(store)
    child = produce("child", dependencies=[str(first)])
    assert await claim(store) == {}
    assert live_row(direct, child).state == "blocked"
    await end(store, claimed["first"])
    mend(direct)
    assert await run(store) == ["child"]


async def test_a_dependency_may_be_added_after_the_task_that_waits_for_it(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    first = uuid4()
    produce("child", dependencies=[str(first)])
    assert await claim(store) == {}
    mend(direct)
    produce("first", task_id=first)
    assert await run(store) == ["first", "child"]


async def test_a_dependency_that_never_comes_is_given_up_with_the_reason(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    produce("child", dependencies=[str(uuid4())])
    assert await claim(store) == {}
    mend(direct, grace=0.0)
    assert live_rows(direct) == []
    assert shown(direct)["child"] == "cancelled"


async def test_dependencies_of_dependencies_wait_in_their_turn(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    first = produce("first")
    second = produce("second", dependencies=[str(first)])
    produce("third", dependencies=[str(second), str(first)])
    assert await run(store) == ["first", "second", "third"]


async def test_tasks_that_wait_for_each_other_in_a_circle_do_not_wait_for_ever(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    one, other, alone = uuid4(), uuid4(), uuid4()
    produce("one", task_id=one, dependencies=[str(other)])
    produce("other", task_id=other, dependencies=[str(one)])
    produce("alone", task_id=alone, dependencies=[str(alone)])
    assert await run(store) == []
    assert live_rows(direct) == []
    assert set(shown(direct).values()) == {"cancelled"}


CHAIN = str(uuid4())


def of_chain(position: int, previous: UUID | None = None, **more: Any) -> dict[str, Any]:
    found = {"chain_id": CHAIN, "chain_position": position, "chain_total": 3} | more
    return found if previous is None else found | {"previous_task_id": str(previous)}


async def test_the_steps_of_a_chain_are_due_when_the_step_before_has_completed(
    produce: Produce, store: Store, direct: DirectStore
) -> None:
    # G10
    first = produce("first", **of_chain(0, stop_on_failure=True))
    second = produce("second", later=True, **of_chain(1, first, stop_on_failure=True))
    produce("third", later=True, **of_chain(2, second, stop_on_failure=True))
    assert await run(store) == ["first", "second", "third"]
    [view] = direct.run(flows.list_workflows)
    assert (str(view.id), view.state, view.steps) == (CHAIN, "completed", 3)


@pytest.mark.parametrize(("stops", "ran"), [(True, ["first"]), (False, ["first", "second"])])
async def test_a_chain_stops_at_a_failure_if_it_says_so(
    produce: Produce, store: Store, direct: DirectStore, stops: bool, ran: list[str]
) -> None:
    first = produce("first", **of_chain(0, stop_on_failure=stops))
    produce("second", later=True, **of_chain(1, first, stop_on_failure=stops))
    assert await run(store, {"first": BROKEN}) == ran
    assert live_rows(direct) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"dependencies": "all of them"},
        {"dependencies": [7, None, "no id"]},
        {"dependencies": {}},
        {"chain_id": "no id", "chain_position": 1, "previous_task_id": "none"},
        {"chain_id": CHAIN, "chain_position": True},
        {"chain_id": CHAIN, "chain_position": 10**40, "previous_task_id": CHAIN},
    ],
)
async def test_what_makes_no_sense_is_as_if_it_was_not_there(
    produce: Produce, store: Store, metadata: dict[str, Any]
) -> None:
    produce("odd", **metadata)
    assert await run(store) == ["odd"]
