"""Every log sentence there is. A service that has something to say emits an event."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import structlog

from celers_worker.core import events as fact
from celers_worker.core.events import Events
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Outcome,
    Release,
    Retry,
)
from celers_worker.core.task import Task

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_LEVELS["error"] = logging.ERROR


def configure_logs(level: str, style: str, stream: TextIO | None = None) -> None:
    """Log to *stream* (stderr): readable on a terminal, JSON lines otherwise, as *style* says."""
    output = stream or sys.stderr
    console = style == "console" or (style == "auto" and output.isatty())
    shown = structlog.processors.add_log_level
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    processors: list[Any] = [structlog.contextvars.merge_contextvars, shown]
    if console:
        processors += [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=output.isatty(), pad_event_to=0),
        ]
    else:
        processors += [
            stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,
    )


def listen(events: Events, *, level: str) -> None:
    """Write a line for each event worth one at *level*."""
    log = structlog.get_logger("celers")
    phrases = _phrases(log)
    if level == "debug":
        phrases |= _details(log)
    for event_type, phrase in phrases.items():
        events.listen(event_type, phrase)


def _phrases(log: Any) -> dict[type, Callable[[Any], None]]:
    """What is said at the usual level: what an operator wants to know in the morning."""

    def started(event: fact.WorkerStarted) -> None:
        log.info(
            "worker started",
            worker=event.worker,
            name=event.name,
            database=event.database,
            queues=list(event.queues) or "all",
            handlers=event.handlers,
            concurrency=event.concurrency,
        )

    def stopping(event: fact.WorkerStopping) -> None:
        log.info("worker stopping", reason=event.reason, running=event.running)

    def stopped(event: fact.WorkerStopped) -> None:
        log.info(
            "worker stopped",
            released=event.released,
            abandoned=event.abandoned,
            seconds=round(event.seconds, 3),
        )

    def settled(event: fact.TasksSettled) -> None:
        for settlement in event.settlements:
            _tell_failure(log, settlement.task, settlement.outcome)

    def refused(event: fact.SettleRefused) -> None:
        for settlement in event.settlements:
            log.warning(
                "outcome refused: the lease was lost",
                outcome=type(settlement.outcome).__name__.lower(),
                **_of(settlement.task),
            )

    def parked(event: fact.TaskParked) -> None:
        log.warning(f"task parked: no handler has its name.{event.suggestion}", **_of(event.task))

    def lost(event: fact.LeasesLost) -> None:
        log.error("leases lost", tasks=len(event.tasks), reason=event.reason)

    def abandoned(event: fact.TaskAbandoned) -> None:
        log.error("handler did not stop", reason=event.reason, **_of(event.task))

    def reaped(event: fact.TasksReaped) -> None:
        log.warning(
            "tasks of lost workers taken back",
            released=len(event.released),
            buried=[str(task_id) for task_id in event.buried],
        )

    def recovered(event: fact.TasksRecovered) -> None:
        log.warning("tasks of a claim without an answer given back", tasks=event.count)

    def failed(event: fact.ServiceFailed) -> None:
        # The first, and then ever fewer: an outage must not fill the disk.
        if event.failures & (event.failures - 1) == 0:
            log.error(
                f"{event.service} failed",
                error=f"{type(event.error).__name__}: {event.error}",
                failures=event.failures,
                retry_in=round(event.retry_in, 2),
            )

    def back(event: fact.ServiceRecovered) -> None:
        log.info(f"{event.service} works again", failures=event.failures)

    def blocked(event: fact.LoopBlocked) -> None:
        log.error(
            "the event loop is blocked by a handler",
            seconds=round(event.seconds, 1),
            at=list(event.suspects),
        )

    return {
        fact.WorkerStarted: started,
        fact.WorkerStopping: stopping,
        fact.WorkerStopped: stopped,
        fact.TasksSettled: settled,
        fact.SettleRefused: refused,
        fact.TaskParked: parked,
        fact.LeasesLost: lost,
        fact.TaskAbandoned: abandoned,
        fact.TasksReaped: reaped,
        fact.TasksRecovered: recovered,
        fact.ServiceFailed: failed,
        fact.ServiceRecovered: back,
        fact.LoopBlocked: blocked,
    }


def _details(log: Any) -> dict[type, Callable[[Any], None]]:
    """What is said at debug: a line or two for each task, which costs more than running it."""

    def started(event: fact.TaskStarted) -> None:
        log.debug("task started", attempt=event.task.attempt, **_of(event.task))

    def ended(event: fact.TaskEnded) -> None:
        log.debug(
            f"task {_word(event.settlement.outcome)}",
            seconds=round(event.seconds, 4),
            **_of(event.settlement.task),
        )

    def pruned(event: fact.TasksPruned) -> None:
        log.debug("finished tasks pruned", **event.counts)

    return {fact.TaskStarted: started, fact.TaskEnded: ended, fact.TasksPruned: pruned}


def _tell_failure(log: Any, task: Task, outcome: Outcome) -> None:
    match outcome:
        case Retry():
            log.warning(
                "task failed, will be tried again",
                error=str(outcome.failure),
                attempt=task.attempt,
                again_in=round(outcome.delay.total_seconds(), 1),
                **_of(task),
            )
        case Dead():
            log.error(
                "task is dead",
                reason=outcome.reason,
                error=str(outcome.failure),
                attempt=task.attempt,
                **_of(task),
            )
        case Cancelled():
            log.info("task cancelled", reason=outcome.reason, **_of(task))
        case Expired():
            log.info("task expired before it was started", **_of(task))
        case Completed() | Release():
            pass


def _of(task: Task) -> Mapping[str, Any]:
    return {"task": task.name, "id": str(task.id), "queue": task.queue}


def _word(outcome: Outcome) -> str:
    match outcome:
        case Completed():
            return "completed"
        case Retry():
            return "failed"
        case Release():
            return "released"
        case Cancelled():
            return "cancelled"
        case Expired():
            return "expired"
        case Dead():
            return "died"
