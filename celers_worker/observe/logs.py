"""Every log sentence there is. A service that has something to say emits an event."""

from __future__ import annotations

from typing import Any, TypeAlias

import structlog

from celers_worker.core.context import Context
from celers_worker.core.events import Events
from celers_worker.core.process_events import ConfigurationReloaded
from celers_worker.observe.details import Details
from celers_worker.observe.kept_lines import OURS, keep
from celers_worker.observe.log_output import set_level
from celers_worker.observe.phrases import Phrases
from celers_worker.observe.process_phrases import ProcessPhrases
from celers_worker.observe.wording import of

_Teller: TypeAlias = Phrases | ProcessPhrases


def listen(events: Events, *, level: str) -> None:
    """Write a line for each event worth one at *level*."""
    log = structlog.get_logger("celers").bind(**{OURS: True})
    tellers: list[_Teller] = [Phrases(log), ProcessPhrases(log)]
    for teller in tellers:
        _listen(events, teller)
    details = _Details(events, Details(log))
    details.show(level)
    events.listen(ConfigurationReloaded, lambda event: details.show(event.log_level))


class _Details:
    """Lines that cost more than running a task: not even their events are made without need."""

    def __init__(self, events: Events, teller: Details) -> None:
        self._events = events
        self._teller = teller
        self._shown = False

    def show(self, level: str) -> None:
        """Write lines of *level* and above from now on."""
        set_level(level)
        if (level == "debug") is self._shown:
            return
        self._shown = not self._shown
        change = self._events.listen if self._shown else self._events.forget
        for event_type, name in self._teller.EVENTS.items():
            change(event_type, getattr(self._teller, name))


def _listen(events: Events, teller: _Teller) -> None:
    for event_type, name in teller.EVENTS.items():
        events.listen(event_type, getattr(teller, name))


def task_log(context: Context) -> Any:
    """A logger for the handler of *context*: each of its lines names the task, and is kept."""
    processors = structlog.get_config()["processors"]
    if keep not in processors:  # the application has configured structlog, or nobody has
        processors = [keep, *processors]
    return structlog.wrap_logger(None, processors=processors).bind(**of(context.task))
