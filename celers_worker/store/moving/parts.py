"""What there is to move: the tables, each as a part with a name.

A table that is not named here comes along all the same, under its own name and with what can be
seen of its columns; a line in ``_NAMED`` says what cannot be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, MetaData, Table

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest
from celers_worker.core.task import ARCHIVED, LIVE, TaskState
from celers_worker.store import schema
from celers_worker.store.types import Id


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A table, as those who move it see it."""

    name: str
    table: Table
    owner: str | None = None
    """The column with the id of the task that a row belongs to."""
    queue: str | None = None
    """The column with the name of a queue."""
    states: frozenset[TaskState] = frozenset()
    """If rows are tasks, the states they are in."""
    fixed: bool = False
    """Whether a row, once written, never changes."""
    history: bool = False
    """Whether no worker ever acts on it: it can be copied while workers run."""
    stays: bool = False
    """Whether ``copy --move`` leaves it at the source."""

    @property
    def key(self) -> Sequence[Column[object]]:
        """The columns of the primary key."""
        return tuple(self.table.primary_key.columns)

    @property
    def serial(self) -> Column[Any] | None:
        """The column that the database numbers: another one does so too, so it means nothing there.

        Rows of such a table are known by all their other columns.
        """
        column = self.table.autoincrement_column
        return column if column is not None and self.owner is not None else None

    @property
    def holds_tasks(self) -> bool:
        """Whether its rows are tasks, of which an id exists once in all such parts."""
        return bool(self.states)


#: In the order in which they are written and arrive: whatever a task needs is there before it, for
#: workers may run meanwhile. What belongs to tasks goes before them for another reason too: moved
#: away first, they could not tell any more which rows are theirs.
_NAMED: tuple[Part, ...] = (
    Part(name="queues", table=schema.queues, queue="name", stays=True),
    Part(name="handlers", table=schema.handlers, stays=True),
    # Not fixed: a dead task that is requeued and completes has another result.
    Part(name="results", table=schema.results, owner="task_id", history=True),
    Part(name="attempts", table=schema.attempts, owner="task_id", fixed=True, history=True),
    Part(
        name="history",
        table=schema.history,
        owner="task_id",
        queue="queue_name",
        fixed=True,
        history=True,
    ),
    Part(name="archive", table=schema.archive, queue="queue_name", states=ARCHIVED, history=True),
    Part(
        name="dead",
        table=schema.dead_letters,
        queue="queue_name",
        states=frozenset({TaskState.FAILED}),
        history=True,
    ),
    Part(name="tasks", table=schema.tasks, queue="queue_name", states=LIVE),
)
#: What would be wrong anywhere else, with the reason.
STAY: Mapping[str, str] = {
    schema.workers.name: "the leases of processes that run on this database",
    schema.upkeep.name: "who does the upkeep of this database",
    schema.limits.name: "how far the limits of this database are booked",
    schema.limit_holders.name: "tasks that run on this database",
    schema.audited.name: "goes with triggers, which `celers queue history` makes",
    schema.VERSION_TABLE: "says what these tables are like",
}


def parts_of(metadata: MetaData, named: Iterable[Part] = _NAMED) -> tuple[Part, ...]:
    """Every table of *metadata* as a part, those that hold tasks last."""
    known = tuple(named)
    names = {part.table.name for part in known} | set(STAY)
    others = [_seen(table) for table in metadata.sorted_tables if table.name not in names]
    return (
        *(part for part in known if not part.holds_tasks),
        *others,
        *(part for part in known if part.holds_tasks),
    )


def chosen_parts(names: Sequence[str]) -> tuple[Part, ...]:
    """The parts with these *names*, or all; raises ConfigurationError for one there is not."""
    known = {part.name: part for part in PARTS}
    problems = [
        f"there is no part {name[:80]!r}.{nearest(name, known) or f' There are: {_list()}.'}"
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigurationError(*problems)
    return tuple(part for part in PARTS if not names or part.name in names)


def _list() -> str:
    return ", ".join(part.name for part in PARTS)


def _seen(table: Table) -> Part:
    """What can be seen of a table: whether its rows belong to tasks, or to a queue."""
    belongs = "task_id" in table.c and isinstance(table.c.task_id.type, Id)
    return Part(
        name=table.name.removeprefix("celers_"),
        table=table,
        owner="task_id" if belongs else None,
        queue="queue_name" if "queue_name" in table.c else None,
    )


PARTS = parts_of(schema.metadata)
