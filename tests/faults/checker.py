"""The history checker: what producers, handlers and the audit trail say, held against each other.

It trusts nobody's word alone. The trail is written by triggers, so it knows every change of a task
whoever made it; the notes are written by handlers before and after their work; what was
acknowledged is known to the producers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from celers_worker.core.task import LIVE, TRANSITIONS, TaskState
from celers_worker.store import DirectStore
from celers_worker.store.schema import archive, attempts, dead_letters, history, tasks
from celers_worker.store.transaction import Transaction

#: What a lost worker's attempt is recorded as.
WORKER_LOST = "WorkerLost"


class Change(NamedTuple):
    """A row of the audit trail."""

    task: UUID
    state: TaskState
    lease: int


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

    changes: Sequence[Change]
    #: Of each task that is anywhere: state, retry_count, crash_count.
    now: Mapping[UUID, tuple[TaskState, int, int]]
    #: Of each (task, lease) that failed: the error's type.
    failures: Mapping[tuple[UUID, int], str]
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker counted. ``problems`` says what must not be; empty, all is well."""

    tasks: int
    completed: int
    lost: int
    double_settled: int
    reruns: int
    unknown_found: int
    problems: Sequence[str]


def gather(direct: DirectStore, queue: str) -> dict[str, object]:
    """What the database says of the tasks of *queue*, for ``Evidence``."""

    def read(transaction: Transaction) -> dict[str, object]:
        connection = transaction.connection
        trail = select(history.c.task_id, history.c.state, history.c.lease)
        changes = [
            Change(row[0], TaskState(row[1]), row[2])
            for row in connection.execute(
                trail.where(history.c.queue_name == queue).order_by(history.c.id)
            )
        ]
        now = {}
        for table in (tasks, archive, dead_letters):
            columns = (table.c.id, table.c.state, table.c.retry_count, table.c.crash_count)
            for row in connection.execute(select(*columns).where(table.c.queue_name == queue)):
                if row[0] in now:
                    raise AssertionError(f"task {row[0]} is kept in two places")
                now[row[0]] = (TaskState(row[1]), row[2], row[3])
        failed = select(attempts.c.task_id, attempts.c.lease, attempts.c.error_type)
        failures = {(row[0], row[1]): row[2] for row in connection.execute(failed)}
        return {"changes": changes, "now": now, "failures": failures}

    return direct.run(read)


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


def judge(evidence: Evidence) -> Verdict:
    """Hold the evidence to the promises."""
    problems: list[str] = []
    trails: defaultdict[UUID, list[Change]] = defaultdict(list)
    for change in evidence.changes:
        trails[change.task].append(change)

    known = evidence.now.keys()
    lost = evidence.acknowledged - known
    problems += [f"{task}: its enqueue returned, and it is nowhere" for task in lost]
    problems += [f"{task}: nobody enqueued it" for task in known - evidence.sent]
    double = 0
    for task, trail in trails.items():
        found = list(_problems_of_trail(trail))
        double += sum("again" in problem for problem in found)
        problems += [f"{task}: {problem}" for problem in found]
        if task in known and trail[-1].state is not evidence.now[task][0]:
            problems.append(f"{task}: its trail ends {trail[-1].state}, it is otherwise")
    problems += _problems_of_runs(evidence, trails)
    requeued = {
        task
        for task, trail in trails.items()
        for before, after in pairwise(trail)
        if before.state not in LIVE and after.state in LIVE
    }
    problems += _problems_of_attempts(evidence, requeued)
    problems += _problems_of_effects(evidence)
    problems += _problems_of_limits(evidence)
    return Verdict(
        tasks=len(evidence.sent),
        completed=sum(state is TaskState.COMPLETED for state, _, _ in evidence.now.values()),
        lost=len(lost),
        double_settled=double,
        reruns=len(evidence.runs) - len({run.task for run in evidence.runs}),
        unknown_found=len((evidence.sent - evidence.acknowledged) & known),
        problems=problems,
    )


def _problems_of_trail(trail: Sequence[Change]) -> Iterable[str]:
    """Only legal transitions, one end, and a lease that rises with each claim."""
    if trail[0].state not in (TaskState.PENDING, TaskState.BLOCKED):
        yield f"begins {trail[0].state}"
    lease = 0
    for before, after in pairwise(trail):
        if before.state is after.state:
            yield from _problems_of_staying(before, after)
            continue
        if after.state not in TRANSITIONS[before.state]:
            word = "was settled again:" if before.state not in LIVE else "went"
            yield f"{word} from {before.state} to {after.state}"
        if after.state is TaskState.PROCESSING:
            if after.lease <= lease:
                yield f"was claimed with lease {after.lease} after {lease}"
            lease = after.lease
        elif before.state is TaskState.PROCESSING and after.lease != before.lease:
            yield f"lease {before.lease} was ended by {after.lease}"


def _problems_of_staying(before: Change, after: Change) -> Iterable[str]:
    if after.state is TaskState.PROCESSING and before.lease != after.lease:
        yield f"was claimed with lease {after.lease} while {before.lease} ran"
    elif after.state not in LIVE:
        yield f"was settled again, {after.state}"


def _problems_of_runs(evidence: Evidence, trails: Mapping[UUID, Sequence[Change]]) -> Iterable[str]:
    """Each run has a claim of its own, and none is repeated without a recorded reason."""
    by_task: defaultdict[UUID, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        by_task[run.task].append(run)
    for task, runs in by_task.items():
        claims = {change.lease for change in trails[task] if change.state is TaskState.PROCESSING}
        leases = [run.lease for run in runs]
        if len(set(leases)) != len(leases):
            yield f"{task}: one lease was run twice: {leases}"
        for run in runs:
            if run.lease not in claims:
                yield f"{task}: ran with lease {run.lease}, which nobody was given"
        runs.sort(key=lambda run: run.lease)
        for run, following in pairwise(runs):
            yield from _problems_of_rerun(evidence, run, following)


def _problems_of_rerun(evidence: Evidence, run: Run, following: Run) -> Iterable[str]:
    why = evidence.failures.get((run.task, run.lease))
    who = f"{run.task}: lease {run.lease}"
    if run.how == "failed" and why is None:
        yield f"{who} failed, and no attempt is recorded"
    if run.how == "end" and why != WORKER_LOST:
        yield f"{who} came to its end and was run again, without a reason: {why}"
    if run.how == "lost" and why != WORKER_LOST:
        yield f"{who} was never heard of again, and its worker is not recorded as lost: {why}"
    overlaps = run.until is not None and following.since < run.until
    if overlaps and run.process not in evidence.frozen:
        yield f"{who} still ran when lease {following.lease} began"


def _problems_of_attempts(evidence: Evidence, requeued: set[UUID]) -> Iterable[str]:
    """Attempts are burnt by failures and by workers that died, and each of those is kept.

    Of a task that a person has requeued they are counted anew.
    """
    failed: Counter[UUID] = Counter()
    crashed: Counter[UUID] = Counter()
    for (task, _), kind in evidence.failures.items():
        (crashed if kind == WORKER_LOST else failed)[task] += 1
    for task, (_, retries, crashes) in evidence.now.items():
        if task not in requeued and (retries, crashes) != (failed[task], crashed[task]):
            yield (
                f"{task}: counts {retries} failures and {crashes} crashes, "
                f"recorded are {failed[task]} and {crashed[task]}"
            )


def _problems_of_effects(evidence: Evidence) -> Iterable[str]:
    """What a handler wrote in the transaction that settled its task is there once."""
    for task in evidence.paid:
        completed = task in evidence.now and evidence.now[task][0] is TaskState.COMPLETED
        times = evidence.effects[task]
        if times != int(completed):
            yield f"{task}: completed {completed}, and what it wrote is there {times} times"


def _problems_of_limits(evidence: Evidence) -> Iterable[str]:
    """No process has run more of the narrow tasks at once than it may."""
    by_process: defaultdict[int, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        if run.task in evidence.narrow:
            by_process[run.process].append(run)
    for process, runs in by_process.items():
        if (most := most_at_once(runs)) > evidence.limit:
            yield f"process {process} ran {most} tasks at once, where it may {evidence.limit}"


def most_at_once(runs: Iterable[Run]) -> int:
    """How many of *runs* of one process overlapped; those without an end are left out."""
    edges = sorted(
        (at, change)
        for run in runs
        if run.until is not None
        for at, change in ((run.since, 1), (run.until, -1))
    )
    most = running = 0
    for _, change in edges:
        running += change
        most = max(most, running)
    return most
