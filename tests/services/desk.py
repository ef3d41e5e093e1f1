"""A runner by itself: tasks are handed to it, and its outcomes lie in a list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from celers_worker import Celers
from celers_worker.core.events import Events
from celers_worker.core.outcome import Outcome, Settlement
from celers_worker.core.task import Task, new_id
from celers_worker.services.permits import Permits
from celers_worker.services.run import Run
from celers_worker.services.runner import Runner
from celers_worker.services.surroundings import Surroundings
from tests.services.crews import Seen
from tests.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Outcomes(list[Settlement]):
    """Where the runner puts what its runs came to."""

    def put(self, settlement: Settlement) -> None:
        self.append(settlement)


class Desk:
    """A runner with ten permits, and room for *prefetch* more tasks."""

    def __init__(self, app: Celers, *, prefetch: int = 0, **changes: Any) -> None:
        self.app = app
        self.events = Events()
        self.seen = Seen(self.events)
        self.permits = Permits(total=10, prefetch=prefetch)
        self.outcomes = Outcomes()
        settings = {"threads": 2, "cancel_grace": 0.05} | changes
        self.runner = Runner(self.events, app.registry, self.permits, self.outcomes, **settings)

    def start(self, task: Task) -> Run | None:
        """Run *task* as the poller does; the run, unless it could not be run."""
        self.permits.take(task)
        self.runner.start_all([task])
        return self.runner.runs.get(task.id)

    async def run(self, task: Task) -> Outcome:
        """Run *task* to its end, and see that it has given its permit back."""
        self.start(task)
        await eventually(self.is_idle)
        return self.outcome(task)

    async def run_within(
        self, surroundings: Surroundings, *, permit: Any = None, queue: str = "default"
    ) -> Outcome:
        """Run a task of a handler that returns 1 within *surroundings*."""

        async def work() -> int:
            return 1

        self.app.task(name="work", permit=permit)(work)
        self.runner._registry = self.app.registry.mapped(surroundings.of)
        return await self.run(a_task(queue=queue))

    async def run_handler(self, function: Callable[..., Any], **changes: Any) -> Outcome:
        """Declare *function* and run a task of it."""
        options = {
            key: changes.pop(key)
            for key in ("timeout", "backoff", "retry_on", "dead_on", "backoff_on")
            if key in changes
        }
        self.app.task(name="work", **options)(function)
        return await self.run(a_task(**changes))

    def is_idle(self) -> bool:
        return not self.runner.runs and not self.permits.in_use

    def outcome(self, task: Task) -> Outcome:
        [outcome] = [one.outcome for one in self.outcomes if one.task is task]
        return outcome

    async def close(self) -> None:
        self.runner.stop_all("the test is over")
        await self.runner.idle(5)
        self.runner.close()


def a_task(name: str = "work", payload: bytes = b"{}", **changes: Any) -> Task:
    """A task as a claim hands it out."""
    values: dict[str, Any] = {
        "id": new_id(),
        "lease": 1,
        "name": name,
        "queue": "default",
        "payload": payload,
        "priority": 0,
        "retry_count": 0,
        "crash_count": 0,
        "max_retries": 3,
        "created": NOW,
        "scheduled": NOW,
        "started": NOW,
        "timeout": None,
        "expired": False,
    }
    return Task(**values | changes)
