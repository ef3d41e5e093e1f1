"""Unrun: tasks that a worker has claimed and settles without running them."""

from __future__ import annotations

from celers_worker.core.events import Events, TaskParked
from celers_worker.core.outcome import Outcome, Release, Settlement
from celers_worker.core.task import Task
from celers_worker.services.permits import Permits
from celers_worker.services.run import Settles


class Unrun:
    """Settles such tasks, and gives their permits back."""

    def __init__(self, events: Events, permits: Permits, settler: Settles) -> None:
        self._events = events
        self._permits = permits
        self._settler = settler

    def settle(self, task: Task, outcome: Outcome) -> None:
        """Write *outcome*, though no handler was called."""
        self._settler.put(Settlement(task, outcome))
        self._permits.give_back([task])

    def park(self, task: Task, suggestion: str) -> None:
        """Give a task back that nobody here can run, and claim none of its name again."""
        self._permits.exclude(task.name)
        self._events.emit(TaskParked(task, suggestion))
        self.settle(task, Release(reason=f"no handler is called {task.name!r}.{suggestion}"))
