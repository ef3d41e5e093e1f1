"""Every log sentence there is. A service that has something to say emits an event."""

from __future__ import annotations

from typing import Any

import structlog

from celers_worker.core.context import Context
from celers_worker.core.events import Events
from celers_worker.observe.details import Details
from celers_worker.observe.kept_lines import OURS, keep
from celers_worker.observe.phrases import Phrases
from celers_worker.observe.wording import of


def listen(events: Events, *, level: str) -> None:
    """Write a line for each event worth one at *level*."""
    log = structlog.get_logger("celers").bind(**{OURS: True})
    tellers: list[Phrases | Details] = [Phrases(log)]
    if level == "debug":
        tellers.append(Details(log))
    for teller in tellers:
        for event_type, name in teller.EVENTS.items():
            events.listen(event_type, getattr(teller, name))


def task_log(context: Context) -> Any:
    """A logger for the handler of *context*: each of its lines names the task, and is kept."""
    processors = structlog.get_config()["processors"]
    if keep not in processors:  # the application has configured structlog, or nobody has
        processors = [keep, *processors]
    return structlog.wrap_logger(None, processors=processors).bind(**of(context.task))
