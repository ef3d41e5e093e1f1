"""Failed attempts in groups: what went wrong, since when, how often, and where. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from celers_worker.core.fingerprint import fingerprint, normalised

#: Ids that a group names, the newest ones.
SAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """One attempt that failed; ``dead``: it was among the last of its task."""

    task: UUID
    name: str
    queue: str
    error_type: str
    message: str
    failed_at: datetime
    dead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one fingerprint; ``samples`` are ids of its tasks, the newest first."""

    fingerprint: str
    name: str
    queues: tuple[str, ...]
    error_type: str
    message: str
    attempts: int
    tasks: int
    dead: int
    first_seen: datetime
    last_seen: datetime
    samples: tuple[UUID, ...]


def grouped(runs: Iterable[FailedRun]) -> list[FailureGroup]:
    """The groups of *runs*, the largest first."""
    found: dict[str, list[FailedRun]] = {}
    for run in runs:
        found.setdefault(fingerprint(run.name, run.error_type, run.message), []).append(run)
    groups = [_group(key, members) for key, members in found.items()]
    return sorted(groups, key=lambda one: (-one.attempts, one.name, one.fingerprint))


def _group(key: str, runs: list[FailedRun]) -> FailureGroup:
    newest = sorted(runs, key=lambda run: (run.failed_at, run.task), reverse=True)
    tasks = list(dict.fromkeys(run.task for run in newest))
    return FailureGroup(
        fingerprint=key,
        name=newest[0].name,
        queues=tuple(sorted({run.queue for run in runs})),
        error_type=newest[0].error_type,
        message=normalised(newest[0].message),
        attempts=len(runs),
        tasks=len(tasks),
        dead=len({run.task for run in runs if run.dead}),
        first_seen=newest[-1].failed_at,
        last_seen=newest[0].failed_at,
        samples=tuple(tasks[:SAMPLES]),
    )
