"""All that is known of a campaign: what producers, handlers and the audit trail say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from celers_worker.store.evidence import Recorded


class Promise(StrEnum):
    """What may be broken."""

    KEPT = "lost"
    SETTLED_ONCE = "settled twice"
    EXPLAINED = "run again without a reason"
    ALONE = "leases that overlap"
    OTHERWISE = "otherwise wrong"


class Problem(NamedTuple):
    """One thing that must not be."""

    promise: Promise
    text: str
    task: UUID | None = None


class Run(NamedTuple):
    """What a handler noted of one run. *until* is None if it never came to an end."""

    task: UUID
    lease: int
    attempt: int
    process: int
    since: int
    until: int | None
    how: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that is known of a campaign."""

    recorded: Recorded
    runs: Sequence[Run]
    #: Tasks whose enqueue returned; tasks that somebody tried to enqueue.
    acknowledged: frozenset[UUID]
    sent: frozenset[UUID]
    #: Tasks that a handler's own transaction wrote about, once for each time.
    effects: Counter[UUID] = field(default_factory=Counter)
    paid: frozenset[UUID] = frozenset()
    #: Tasks of which a worker may run so many at once.
    narrow: frozenset[UUID] = frozenset()
    limit: int = 2
    #: Processes that were frozen: only what they began may overlap another run of its task.
    frozen: frozenset[int] = frozenset()
    #: Tasks whose handler returns the lease that it ran under.
    telling: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker counted. ``found`` says what must not be; empty, all is well."""

    tasks: int
    completed: int
    reruns: int
    unknown_found: int
    found: Sequence[Problem]

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for each."""
        return [problem.text for problem in self.found]

    @property
    def lost(self) -> int:
        """Tasks whose enqueue returned, and that are nowhere."""
        return self.broken(Promise.KEPT)

    @property
    def double_settled(self) -> int:
        """How often a task was settled that was settled already."""
        return self.broken(Promise.SETTLED_ONCE)

    def broken(self, promise: Promise) -> int:
        """How often *promise* was."""
        return sum(problem.promise is promise for problem in self.found)


def runs_of(lines: Iterable[str]) -> list[Run]:
    """Read the notes of handlers; other lines are somebody else's."""
    begun: dict[tuple[UUID, int, int], Run] = {}
    for line in lines:
        what, *rest = line.split()
        if what not in ("start", "end", "cut", "failed"):
            continue
        task, lease, attempt, process, at = UUID(rest[0]), *map(int, rest[1:])
        key = (task, lease, process)
        if what == "start":
            if key in begun:
                raise AssertionError(f"lease {lease} of task {task} was run twice by {process}")
            begun[key] = Run(task, lease, attempt, process, at, None, "lost")
        else:
            begun[key] = begun[key]._replace(until=at, how=what)
    return list(begun.values())
