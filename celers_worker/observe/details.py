"""The sentences of the debug level, which cost more than running a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celers_worker.core import events as fact
from celers_worker.observe.wording import of, word


class Details:
    """What is said at debug."""

    EVENTS: Mapping[type, str] = {
        fact.TaskStarted: "started",
        fact.TaskEnded: "ended",
        fact.TasksPruned: "pruned",
        fact.TicksFired: "fired",
        fact.DutyDone: "upkept",
        fact.ChildEnded: "replaced",
    }

    def __init__(self, log: Any) -> None:
        self._log = log

    def started(self, event: fact.TaskStarted) -> None:
        self._log.debug("task started", **of(event.task))

    def ended(self, event: fact.TaskEnded) -> None:
        self._log.debug(
            "task ended",
            outcome=word(event.settlement.outcome),
            seconds=round(event.seconds, 4),
            **of(event.settlement.task),
        )

    def fired(self, event: fact.TicksFired) -> None:
        self._log.debug(
            "schedule fired",
            schedule=event.schedule,
            ids=[str(task_id) for task_id in event.tasks],
            late=round(event.late, 3),
        )

    def pruned(self, event: fact.TasksPruned) -> None:
        self._log.debug("finished tasks pruned", **event.counts)

    def upkept(self, event: fact.DutyDone) -> None:
        self._log.debug("upkeep done", duty=event.duty, tasks=event.count)

    def replaced(self, event: fact.ChildEnded) -> None:
        if event.task is None:
            self._log.debug("process of handlers let go", pid=event.pid, why=event.why)
