"""Who could run a task, and why nobody of them does. Pure; a part of ``explanation``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from celers_worker.core.names import nearest
from celers_worker.core.orders import WorkerState

#: So many names or tasks are told of many.
_SOME = 3


@dataclass(frozen=True, slots=True)
class Job:
    """A task that a worker runs."""

    id: UUID
    name: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A worker with what it serves and runs; ``lease_left`` is in seconds.

    ``limits``: as core.orders.Limits has them; None if it does not say.
    """

    id: str
    name: str
    state: str
    queues: Sequence[str] = ()
    handlers: Sequence[str] = ()
    concurrency: int = 1
    limits: Mapping[str, Any] | None = None
    lease_left: float = 0.0
    runs: Sequence[Job] = field(default=())

    @property
    def lost(self) -> bool:
        """Whether its lease ran out."""
        return self.state == "lost"

    def serves(self, queue: str) -> bool:
        """Whether it claims from *queue*."""
        return not self.queues or queue in self.queues


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that explains the task's state: a word for programs, a sentence, a command."""

    code: str
    text: str
    command: str | None = None


def nobody(servers: Sequence[Server], name: str, queue: str) -> Iterator[Reason]:
    """Why no worker takes a task of this *name* and *queue*; nothing if one could."""
    alive = [one for one in servers if not one.lost]
    if not alive:
        yield Reason("no_worker", "No worker lives.", "celers worker")
        return
    serving = [one for one in alive if one.serves(queue)]
    knowing = [one for one in alive if name in one.handlers]
    if not serving:
        yield Reason(
            "queue_unserved",
            f"None of the {len(alive):,} live workers serves its queue {queue}.",
            f"celers worker -q {queue}",
        )
    if not knowing:
        known = sorted({handler for one in alive for handler in one.handlers})
        yield Reason(
            "handler_unknown",
            f"None of the {len(alive):,} live workers has a handler {name}.{nearest(name, known)}",
            "celers handlers list",
        )
    able = [one for one in serving if one in knowing]
    if able:
        yield from _at_work(able, name, queue)
    elif serving and knowing:
        yield Reason(
            "no_worker_for_both",
            f"Workers serve its queue {queue}, and others have its handler {name}: none does both.",
            f"celers worker -q {queue}",
        )


def _at_work(able: Sequence[Server], name: str, queue: str) -> Iterator[Reason]:
    """Why none of these takes it that serve its queue and have its handler."""
    active = [one for one in able if one.state == WorkerState.RUNNING]
    if not active:
        for one in able[:_SOME]:
            yield Reason(
                "worker_quiet",
                f"The worker {one.name} ({one.id}) could run it, and is {one.state}.",
                f"celers workers resume {one.id}",
            )
        return
    reached = [(one, limit) for one in active if (limit := _limit_reached(one, name, queue))]
    if len(reached) == len(active):
        for one, (code, text, jobs, command) in reached[:_SOME]:
            listed = ", ".join(str(job.id) for job in jobs[:_SOME])
            more = f" and {len(jobs) - _SOME:,} more" if len(jobs) > _SOME else ""
            yield Reason(code, f"The worker {one.name} runs {text}: {listed}{more}.", command)


def _limit_reached(
    server: Server, name: str, queue: str
) -> tuple[str, str, Sequence[Job], str] | None:
    """The narrowest limit that this worker has reached, with the tasks that take its room."""
    limits = server.limits or {}
    of_handler = (limits.get("handlers") or {}).get(name)
    of_queue = (limits.get("queues") or {}).get(queue, limits.get("others"))
    same_name = [job for job in server.runs if job.name == name]
    same_queue = [job for job in server.runs if job.queue == queue]
    if of_handler is not None and len(same_name) >= of_handler:
        text = f"{len(same_name):,} tasks of its handler, its limit there"
        return "handler_limit", text, same_name, f"celers check  ([handlers.{name}] concurrency)"
    narrow = of_queue is not None and of_queue < server.concurrency
    if narrow and len(same_queue) >= (of_queue or 0):
        text = f"{len(same_queue):,} tasks of its queue, its limit there"
        return "queue_limit", text, same_queue, f"celers check  ([queues.{queue}] concurrency)"
    if len(server.runs) >= server.concurrency:
        text = f"{len(server.runs):,} tasks, as many as it may"
        command = f"celers workers scale {server.id} {2 * server.concurrency}"
        return "worker_limit", text, server.runs, command
    return None
