"""What CeleRS producers say about the order of their tasks, read when their rows are adopted.

``metadata.dependencies`` lists tasks that must have completed before; ``chain_id`` and
``previous_task_id`` make a chain. Their producers write them and nobody there honours them. Here
each such task becomes a step of a workflow, so it is shown, mended and retried as ours are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import select

from celers_worker.core.task import TaskState
from celers_worker.core.workflow import Policy
from celers_worker.store.schema import archive, dead_letters, tasks
from celers_worker.store.values import chunks
from celers_worker.store.workflow import mending, mending_statements, statements, whole_statements

if TYPE_CHECKING:
    from celers_worker.store.transaction import Transaction

#: More are not read: a row must not make its adoption take for ever.
MAX_DEPENDENCIES = 1_000
#: The workflow_id of tasks that are no step of a workflow of their own, but are waited for.
WAITED_FOR = UUID(int=0)
#: From the id of a task to the id of the workflow that its dependencies make.
_DEPENDENCIES = UUID("5c0f4b52-3f5c-5d0c-9a67-1b5b0c6a6f01")


@dataclass(frozen=True, slots=True)
class Order:
    """What a foreign row says: the workflow it is a step of, and what it waits for."""

    workflow: UUID
    name: str
    position: int
    parents: Mapping[UUID, Policy]
    delay: float | None


def adopt(transaction: Transaction, rows: Sequence[Any]) -> None:
    """Make steps of those *rows* that say what they wait for; the caller has locked them."""
    orders = {row.id: order for row in rows if (order := order_of(row)) is not None}
    _mark(transaction, {row.id: row.task_name for row in rows})
    parents = {parent for order in orders.values() for parent in order.parents}
    names = _names(transaction, [*orders, *parents]) if orders else {}
    for task_id, order in orders.items():
        _join(transaction, task_id, order, names)
    # Some of what they wait for may have ended already.
    for workflow in {order.workflow for order in orders.values()}:
        mending.mend(transaction, workflow)


def order_of(row: Any) -> Order | None:
    """Read a row's metadata; tolerates anything."""
    found = row.metadata if isinstance(row.metadata, dict) else {}
    chain = _id(found.get("chain_id"))
    listed = found.get("dependencies")
    ids = listed[:MAX_DEPENDENCIES] if isinstance(listed, list) else []
    parents = {parent: Policy.FAIL for one in ids if (parent := _id(one)) is not None}
    position = found.get("chain_position")
    place = position if type(position) is int and 0 <= position < 2**31 else 0
    previous = _id(found.get("previous_task_id"))
    if chain is not None and previous is not None and place > 0:
        stops = found.get("stop_on_failure") is not False
        parents[previous] = Policy.FAIL if stops else Policy.CONTINUE
    if chain is None and not parents:
        return None
    return Order(
        workflow=chain or uuid5(_DEPENDENCIES, str(row.id)),
        name="chain" if chain is not None else f"dependencies of {row.task_name}"[:255],
        position=place if chain is not None else len(parents),
        parents=parents,
        # A later step of a chain is scheduled a century ahead: it is due when it is unblocked.
        delay=0.0 if chain is not None and place > 0 else None,
    )


def _join(transaction: Transaction, task_id: UUID, order: Order, names: Mapping[UUID, str]) -> None:
    """Make a task a step, after its parents, which are steps of the same workflow."""
    execute = transaction.connection.execute
    execute(mending_statements.ADOPT_WORKFLOW, {"workflow": order.workflow, "called": order.name})
    execute(statements.LOCK_WORKFLOWS, {"ids": [order.workflow]})
    # What comes late to a chain that has ended opens it again.
    execute(whole_statements.REOPEN_WORKFLOWS, {"ids": [order.workflow]})
    steps: list[dict[str, Any]] = [
        {"of_task": task_id, "place": order.position, "wait": order.delay}
    ]
    circle = _waits_for_itself(transaction, task_id, order.parents)
    parents = [] if circle else list(order.parents)
    for place, parent in enumerate(parents):
        before = order.position - 1 if order.delay is not None else place
        steps.append({"of_task": parent, "place": before, "wait": None})
    own = {"workflow": order.workflow}
    execute(
        mending_statements.ADOPT_STEP,
        [{**own, **step, "called": names.get(step["of_task"], "")} for step in steps],
    )
    # Perhaps it was known as the parent of another already, and nothing more.
    execute(mending_statements.PLACE_STEP, {**own, **steps[0]})
    edges = [
        {
            "workflow": order.workflow,
            "child": task_id,
            "parent": parent,
            "place": place,
            "tolerance": order.parents[parent].value,
        }
        for place, parent in enumerate(parents)
    ]
    if edges:
        execute(mending_statements.ADOPT_EDGE, edges)
        execute(mending_statements.MARK, {"ids": parents, "workflow": WAITED_FOR})
    state = TaskState.BLOCKED if edges else TaskState.PENDING
    execute(
        mending_statements.JOIN_WORKFLOW,
        {"ids": [task_id], "workflow": order.workflow, "now_is": state.value},
    )
    if circle:
        transaction.archive_cancelled([task_id], "it depends on tasks that wait for it in a circle")


def _mark(transaction: Transaction, names: Mapping[UUID, str]) -> None:
    """Tasks that came after those that wait for them: their end will be told too."""
    among = {"ids": list(names)}
    if (
        found := transaction.connection.execute(mending_statements.STEPS_AMONG, among)
        .scalars()
        .all()
    ):
        transaction.connection.execute(
            mending_statements.MARK, {"ids": found, "workflow": WAITED_FOR}
        )
        transaction.connection.execute(
            mending_statements.NAME_STEP, [{"of_task": one, "called": names[one]} for one in found]
        )


def _names(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, str]:
    """What tasks are called, as far as anything is known of them."""
    return {
        row.id: row.task_name
        for table in (tasks, archive, dead_letters)
        for chunk in chunks(ids)
        for row in transaction.connection.execute(
            select(table.c.id, table.c.task_name).where(table.c.id.in_(chunk))
        )
    }


def _waits_for_itself(transaction: Transaction, task_id: UUID, parents: Iterable[UUID]) -> bool:
    """Whether *task_id* is among its own ancestors: then none of the circle could ever start."""
    level = set(parents)
    seen: set[UUID] = set()
    while level:
        if task_id in level:
            return True
        seen |= level
        if len(seen) > MAX_DEPENDENCIES:
            return False
        rows = transaction.connection.execute(mending_statements.PARENT_IDS, {"ids": list(level)})
        level = set(rows.scalars()) - seen
    return False


def _id(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
