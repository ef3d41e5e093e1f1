"""Every log sentence there is. A service that has something to say emits an event."""

from __future__ import annotations

from typing import Any

import structlog

from celers_worker.core.events import Events
from celers_worker.core.task import Task
from celers_worker.observe.details import Details
from celers_worker.observe.phrases import Phrases
from celers_worker.observe.wording import of


def listen(events: Events, *, level: str) -> None:
    """Write a line for each event worth one at *level*."""
    log = structlog.get_logger("celers")
    tellers: list[Phrases | Details] = [Phrases(log)]
    if level == "debug":
        tellers.append(Details(log))
    for teller in tellers:
        for event_type, name in teller.EVENTS.items():
            events.listen(event_type, getattr(teller, name))


def task_log(task: Task) -> Any:
    """A logger for the handler of *task*: each of its lines names the task."""
    return structlog.get_logger("celers.task").bind(attempt=task.attempt, **of(task))
