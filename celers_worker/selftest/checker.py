"""The history checker: what producers, handlers and the audit trail say, held against each other.

It trusts nobody's word alone. The trail is written by triggers, so it knows every change of a task
whoever made it; the notes are written by handlers before and after their work; what was
acknowledged is known to the producers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from uuid import UUID

from celers_worker.core.task import LIVE, TRANSITIONS, TaskState
from celers_worker.selftest.evidence import Evidence, Problem, Promise, Run, Verdict
from celers_worker.store.evidence import Change

#: What a lost worker's attempt is recorded as.
WORKER_LOST = "WorkerLost"


def judge(evidence: Evidence) -> Verdict:
    """Hold the evidence to the promises."""
    now = evidence.recorded.now
    trails: defaultdict[UUID, list[Change]] = defaultdict(list)
    for change in evidence.recorded.changes:
        trails[change.task].append(change)
    return Verdict(
        tasks=len(evidence.sent),
        completed=sum(state is TaskState.COMPLETED for state, _, _ in now.values()),
        reruns=len(evidence.runs) - len({run.task for run in evidence.runs}),
        unknown_found=len((evidence.sent - evidence.acknowledged) & now.keys()),
        found=[
            *_problems_of_places(evidence),
            *_problems_of_trails(evidence, trails),
            *_problems_of_runs(evidence, trails),
            *_problems_of_attempts(evidence, _requeued(trails)),
            *_problems_of_effects(evidence),
            *_problems_of_answers(evidence, trails),
            *_problems_of_limits(evidence),
        ],
    )


def recoveries(runs: Iterable[Run], deaths: Mapping[int, int]) -> list[float]:
    """Seconds from a process's death to the next run of what it ran; *deaths* in nanoseconds."""
    by_task: defaultdict[UUID, list[Run]] = defaultdict(list)
    for run in runs:
        by_task[run.task].append(run)
    found = []
    for of_task in by_task.values():
        of_task.sort(key=lambda run: run.lease)
        found += [
            (following.since - deaths[run.process]) / 1e9
            for run, following in pairwise(of_task)
            if run.how == "lost" and run.process in deaths
        ]
    return found


def _problems_of_places(evidence: Evidence) -> Iterable[Problem]:
    """What was acknowledged is somewhere, in one place, and nothing else is."""
    known = evidence.recorded.now.keys()
    for task in evidence.acknowledged - known:
        yield Problem(Promise.KEPT, f"{task}: its enqueue returned, and it is nowhere", task)
    for task in known - evidence.sent:
        yield Problem(Promise.OTHERWISE, f"{task}: nobody enqueued it", task)
    for task in evidence.recorded.twice:
        yield Problem(Promise.SETTLED_ONCE, f"{task}: is kept in two places", task)


def _problems_of_trails(
    evidence: Evidence, trails: Mapping[UUID, Sequence[Change]]
) -> Iterable[Problem]:
    now = evidence.recorded.now
    for task, trail in trails.items():
        for promise, text in _problems_of_trail(trail):
            yield Problem(promise, f"{task}: {text}", task)
        if task in now and trail[-1].state is not now[task][0]:
            text = f"{task}: its trail ends {trail[-1].state}, it is otherwise"
            yield Problem(Promise.OTHERWISE, text, task)


def _problems_of_trail(trail: Sequence[Change]) -> Iterable[tuple[Promise, str]]:
    """Only legal transitions, one end, and a lease that rises with each claim."""
    if trail[0].state not in (TaskState.PENDING, TaskState.BLOCKED):
        yield Promise.OTHERWISE, f"begins {trail[0].state}"
    lease = 0
    for before, after in pairwise(trail):
        if before.state is after.state:
            yield from _problems_of_staying(before, after)
            continue
        if after.state not in TRANSITIONS[before.state]:
            way = f"from {before.state} to {after.state}"
            if before.state not in LIVE:
                yield Promise.SETTLED_ONCE, f"was settled again: {way}"
            else:
                yield Promise.OTHERWISE, f"went {way}"
        if after.state is TaskState.PROCESSING:
            if after.lease <= lease:
                yield Promise.ALONE, f"was claimed with lease {after.lease} after {lease}"
            lease = after.lease
        elif before.state is TaskState.PROCESSING and after.lease != before.lease:
            yield Promise.OTHERWISE, f"lease {before.lease} was ended by {after.lease}"


def _problems_of_staying(before: Change, after: Change) -> Iterable[tuple[Promise, str]]:
    if after.state is TaskState.PROCESSING and before.lease != after.lease:
        yield Promise.ALONE, f"was claimed with lease {after.lease} while {before.lease} ran"
    elif after.state not in LIVE:
        yield Promise.SETTLED_ONCE, f"was settled again, {after.state}"


def _requeued(trails: Mapping[UUID, Sequence[Change]]) -> set[UUID]:
    return {
        task
        for task, trail in trails.items()
        for before, after in pairwise(trail)
        if before.state not in LIVE and after.state in LIVE
    }


def _problems_of_runs(
    evidence: Evidence, trails: Mapping[UUID, Sequence[Change]]
) -> Iterable[Problem]:
    """Each run has a claim of its own, and none is repeated without a recorded reason."""
    by_task: defaultdict[UUID, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        by_task[run.task].append(run)
    for task, runs in by_task.items():
        trail = trails.get(task, ())
        claims = {change.lease for change in trail if change.state is TaskState.PROCESSING}
        leases = [run.lease for run in runs]
        if len(set(leases)) != len(leases):
            yield Problem(Promise.ALONE, f"{task}: one lease was run twice: {leases}", task)
        for run in runs:
            if run.lease not in claims:
                text = f"{task}: ran with lease {run.lease}, which nobody was given"
                yield Problem(Promise.EXPLAINED, text, task)
        runs.sort(key=lambda run: run.lease)
        for run, following in pairwise(runs):
            for promise, text in _problems_of_rerun(evidence, run, following):
                yield Problem(promise, f"{task}: lease {run.lease} {text}", task)


def _problems_of_rerun(
    evidence: Evidence, run: Run, following: Run
) -> Iterable[tuple[Promise, str]]:
    why = evidence.recorded.failures.get((run.task, run.lease))
    if run.how == "failed" and why is None:
        yield Promise.EXPLAINED, "failed, and no attempt is recorded"
    if run.how == "end" and why != WORKER_LOST:
        yield Promise.EXPLAINED, f"came to its end and was run again, without a reason: {why}"
    if run.how == "lost" and why != WORKER_LOST:
        yield (
            Promise.EXPLAINED,
            f"was never heard of again, and its worker is not recorded as lost: {why}",
        )
    overlaps = run.until is not None and following.since < run.until
    if overlaps and run.process not in evidence.frozen:
        yield Promise.ALONE, f"still ran when lease {following.lease} began"


def _problems_of_attempts(evidence: Evidence, requeued: set[UUID]) -> Iterable[Problem]:
    """Attempts are burnt by failures and by workers that died, and each of those is kept.

    Of a task that a person has requeued they are counted anew.
    """
    failed: Counter[UUID] = Counter()
    crashed: Counter[UUID] = Counter()
    for (task, _), kind in evidence.recorded.failures.items():
        (crashed if kind == WORKER_LOST else failed)[task] += 1
    for task, (_, retries, crashes) in evidence.recorded.now.items():
        if task not in requeued and (retries, crashes) != (failed[task], crashed[task]):
            text = (
                f"{task}: counts {retries} failures and {crashes} crashes, "
                f"recorded are {failed[task]} and {crashed[task]}"
            )
            yield Problem(Promise.OTHERWISE, text, task)


def _problems_of_effects(evidence: Evidence) -> Iterable[Problem]:
    """What a handler wrote in the transaction that settled its task is there once."""
    now = evidence.recorded.now
    for task in evidence.paid:
        completed = task in now and now[task][0] is TaskState.COMPLETED
        times = evidence.effects[task]
        if times != int(completed):
            text = f"{task}: completed {completed}, and what it wrote is there {times} times"
            yield Problem(Promise.SETTLED_ONCE, text, task)


def _problems_of_answers(
    evidence: Evidence, trails: Mapping[UUID, Sequence[Change]]
) -> Iterable[Problem]:
    """What is kept as the result is what the run returned that held the lease at the end."""
    for task in evidence.telling & evidence.recorded.now.keys():
        claims = [one.lease for one in trails.get(task, ()) if one.state is TaskState.PROCESSING]
        told = evidence.recorded.answers.get(task)
        completed = evidence.recorded.now[task][0] is TaskState.COMPLETED
        if completed and (not claims or told != claims[-1]):
            text = f"{task}: was settled by lease {told}, when {claims[-1:]} held it"
            yield Problem(Promise.SETTLED_ONCE, text, task)


def _problems_of_limits(evidence: Evidence) -> Iterable[Problem]:
    """No process has run more of the narrow tasks at once than it may."""
    by_process: defaultdict[int, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        if run.task in evidence.narrow:
            by_process[run.process].append(run)
    for process, runs in by_process.items():
        if (most := most_at_once(runs)) > evidence.limit:
            text = f"process {process} ran {most} tasks at once, where it may {evidence.limit}"
            yield Problem(Promise.OTHERWISE, text)


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
