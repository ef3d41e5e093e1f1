"""Why a task does not run: the decision, from facts that were read before. Pure.

All that stands in its way is told, not only the first: who removes one should know of the others.
Durations are seconds by the database's clock; a negative one lies behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from celers_worker.core.duration import format_seconds
from celers_worker.core.serving import Reason, Server, nobody
from celers_worker.core.task import TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The task that is asked about."""

    id: UUID
    name: str
    queue: str
    state: TaskState
    due_in: float
    attempt: int
    max_retries: int
    expires_in: float | None = None
    started_ago: float | None = None
    ended_ago: float | None = None
    worker: str | None = None
    error: str | None = None
    reason: str | None = None
    cancel_requested: bool = False
    unique_key: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A queue or a handler is held since so many seconds; ``why`` says by whom or what."""

    ago: float
    why: str | None
    probe_in: float | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """A task that this one waits for; ``state`` is None if its row is gone without a trace."""

    id: UUID
    name: str
    state: str | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A due task that is claimed before this one."""

    id: UUID
    name: str
    priority: int
    due_ago: float


@dataclass(frozen=True, slots=True)
class Before:
    """What comes before it in its queue: how many, whether there are more, the first ones."""

    count: int = 0
    more: bool = False
    first: Sequence[Earlier] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the decision is made from."""

    task: Subject
    queue_paused: Held | None = None
    handler_paused: Held | None = None
    circuit: Held | None = None
    servers: Sequence[Server] = ()
    parents: Sequence[Parent] = ()
    key_holder: UUID | None = None
    before: Before = Before()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a task is as it is. ``stands``: something keeps it from running, now or for good."""

    task: Subject
    reasons: Sequence[Reason]
    stands: bool
    before: Before


def explain(facts: Facts) -> Explanation:
    """Say why the task does not run, or that it does, or how it ended."""
    task = facts.task
    match task.state:
        case TaskState.PENDING:
            reasons = [*_waiting(facts), *nobody(facts.servers, task.name, task.queue)]
            if reasons:
                return _explanation(facts, reasons, stands=True)
            return _explanation(facts, [_next(facts)], stands=False)
        case TaskState.BLOCKED:
            return _explanation(facts, [*_blocked(facts)], stands=True)
        case TaskState.PROCESSING:
            return _explanation(facts, [*_running(facts)], stands=False)
        case _:
            return _explanation(facts, [*_ended(facts)], stands=True)


def _explanation(facts: Facts, reasons: Sequence[Reason], *, stands: bool) -> Explanation:
    waits = facts.task.state is TaskState.PENDING
    before = facts.before if waits else Before()
    return Explanation(task=facts.task, reasons=reasons, stands=stands, before=before)


def _waiting(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    if task.expires_in is not None and task.expires_in <= 0:
        yield Reason(
            "expired",
            f"It expired {format_seconds(-task.expires_in)} ago: who claims it ends it unrun.",
            f"celers task cancel {task.id}",
        )
    if task.due_in > 0:
        tries = task.attempt > 1
        what = (
            f"It waits for its attempt {task.attempt} of {task.max_retries + 1}"
            if tries
            else "It is scheduled"
        )
        error = f" The last one failed: {_line(task.error)}" if tries and task.error else ""
        yield Reason(
            "retry" if tries else "scheduled",
            f"{what}: due in {format_seconds(task.due_in)}.{error}",
            f"celers task retry {task.id}",
        )
    if task.queue == "":
        yield Reason(
            "unadopted",
            "A foreign producer wrote it, and no worker has read its queue from its metadata yet.",
            "celers worker",
        )
    yield from _held(facts)


def _held(facts: Facts) -> Iterator[Reason]:
    """What a person or a circuit keeps back."""
    task = facts.task
    if (held := facts.queue_paused) is not None:
        yield Reason(
            "queue_paused",
            f"Its queue {task.queue} has been paused for {format_seconds(held.ago)}{_why(held)}.",
            f"celers queue resume {task.queue}",
        )
    if (held := facts.handler_paused) is not None:
        yield Reason(
            "handler_paused",
            f"Its handler {task.name} has been paused for {format_seconds(held.ago)}{_why(held)}.",
            f"celers queue resume --handler {task.name}",
        )
    if (held := facts.circuit) is not None:
        probe = held.probe_in
        tried = "now" if probe is None or probe <= 0 else f"in {format_seconds(probe)}"
        yield Reason(
            "circuit_open",
            f"The circuit of {task.name} has been open for {format_seconds(held.ago)}{_why(held)}. "
            f"One task is tried {tried}; if it completes, the others run.",
            f"celers queue resume --handler {task.name}",
        )


def _next(facts: Facts) -> Reason:
    if facts.before.count:
        more = "+" if facts.before.more else ""
        return Reason(
            "in_line",
            f"Nothing stands in its way: {facts.before.count:,}{more} due tasks of its queue come "
            "before it.",
            "celers workers scale WORKER N",
        )
    return Reason("next", "Nothing stands in its way: a worker takes it at its next look.")


def _blocked(facts: Facts) -> Iterator[Reason]:
    waiting = [parent for parent in facts.parents if parent.state not in _OVER]
    for parent in waiting:
        name = f"{parent.name or 'task'} {parent.id}"
        yield Reason(
            "waits_for",
            f"It waits for {name}, which is {parent.state or 'gone'}.",
            f"celers explain {parent.id}",
        )
    if not waiting:
        yield Reason(
            "unblocking",
            "All that it waited for has ended: it is freed when its workflow is looked after, by "
            "any worker.",
            "celers workflow list",
        )


def _running(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    since = "" if task.started_ago is None else f" for {format_seconds(task.started_ago)}"
    run = f"attempt {task.attempt} of {task.max_retries + 1}"
    server = next((one for one in facts.servers if one.id == task.worker), None)
    if task.worker is None:
        yield Reason(
            "runs_elsewhere",
            f"A foreign worker has had it{since}; such a worker renews no lease.",
            "celers doctor --interop",
        )
    elif server is None or server.lost:
        yield Reason(
            "worker_lost",
            f"Its worker {task.worker} is lost: another one takes the task back, within seconds "
            "if any worker lives.",
            "celers maintain recover",
        )
    else:
        yield Reason(
            "runs",
            f"It runs now{since}, {run}, at {server.name} ({server.id}), whose lease lasts "
            f"{format_seconds(server.lease_left)} more.",
            f"celers workers show {server.id}",
        )
    if task.cancel_requested:
        yield Reason("cancelling", f"It has been asked to stop: {_line(task.reason)}")


def _ended(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    ago = "" if task.ended_ago is None else f" {format_seconds(task.ended_ago)} ago"
    match task.state:
        case TaskState.COMPLETED:
            yield Reason("completed", f"It completed{ago}.", f"celers task result {task.id}")
            return
        case TaskState.CANCELLED:
            why = f": {_line(task.reason or task.error)}" if task.reason or task.error else ""
            yield Reason(
                "cancelled", f"It was cancelled{ago}{why}.", f"celers task retry {task.id}"
            )
        case TaskState.EXPIRED:
            yield Reason(
                "expired",
                f"It expired{ago}, before it was started.",
                f"celers task retry {task.id}",
            )
        case _:
            yield Reason(
                "dead",
                f"It died{ago}: {_line(task.reason)}. Last error: {_line(task.error) or 'none'}",
                f"celers dlq requeue {task.id}",
            )
    if facts.key_holder is not None:
        yield Reason(
            "unique_conflict",
            f"It cannot come back: the live task {facts.key_holder} has its unique key "
            f"{task.unique_key!r}.",
            f"celers explain {facts.key_holder}",
        )


#: What a parent's state is when nobody waits for it any more.
_OVER = frozenset({"completed", "cancelled", "expired", "failed"})


def _why(held: Held) -> str:
    return f": {_line(held.why)}" if held.why else ""


def _line(text: str | None) -> str:
    """The first line of *text*, without the full stop that follows in a sentence."""
    lines = (text or "").strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else ""
