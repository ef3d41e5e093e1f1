"""A project as a user has it: a database, an application, and worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

from celers_worker.app.declared import Call
from celers_worker.core.errors import Unavailable
from celers_worker.core.task import TaskState
from celers_worker.store import DirectStore, StoreOptions, inspect, make_direct_store
from celers_worker.store.inspect import TaskFilter, TaskView
from tests.processes import is_stopped, kill_tree
from tests.waiting import eventually_sync

REPOSITORY = Path(__file__).parents[2]
#: A lease that ends while a test waits for it; the tests of the defaults say so.
QUICK = {
    "CELERS_WORKER_LEASE": "3s",
    "CELERS_WORKER_HEARTBEAT_INTERVAL": "1s",
    "CELERS_WORKER_REAP_INTERVAL": "500ms",
    "CELERS_WORKER_CANCEL_GRACE": "1s",
}


_IMPATIENT = StoreOptions(call_timeout=timedelta(seconds=1))


class Note(NamedTuple):
    """A line that a handler wrote."""

    what: str
    task: UUID
    attempt: int
    process: int
    at: int


@dataclass
class WorkerProcess:
    """A real ``celers worker``, whose log is a file of JSON lines."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has said; of a line that it is writing, nothing yet."""
        whole = self.log_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line]

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines with this sentence."""
        return [line for line in self.log if line["event"] == event]

    def ready(self) -> WorkerProcess:
        """Wait until it works."""
        eventually_sync(lambda: self.said("worker started"), within=45)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self, within: float = 20) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(within)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(20)


@dataclass
class Project:
    """A migrated database and a folder."""

    url: str
    folder: Path
    direct: DirectStore
    workers: list[WorkerProcess] = field(default_factory=list)
    closed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def history_file(self) -> Path:
        """Where the handlers write."""
        return self.folder / "history"

    def worker(self, *arguments: str, settings: dict[str, str] | None = None) -> WorkerProcess:
        """Start a worker process."""
        log_file = self.folder / f"worker-{len(self.workers)}.log"
        environment = {
            **os.environ,
            **(QUICK if settings is None else settings),
            "CELERS_DATABASE_URL": self.url,
            "CELERS_E2E_HISTORY": str(self.history_file),
        }
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celers_worker", "worker"),
                    *("-A", "tests.e2e.handlers", "--log-format", "json", *arguments),
                ],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )
        started = WorkerProcess(process, log_file)
        self.workers.append(started)
        return started

    def freeze(self, worker: WorkerProcess) -> None:
        """SIGSTOP *worker*, but not while it writes to a file: that would hold up everybody."""

        def frozen() -> bool:
            worker.signal(signal.SIGSTOP)
            eventually_sync(lambda: is_stopped(worker.process.pid))
            try:
                with make_direct_store(self.url, _IMPATIENT) as direct:
                    direct.run(lambda transaction: None)
            except Unavailable:
                worker.signal(signal.SIGCONT)
                return False
            return True

        eventually_sync(frozen)

    def enqueue(self, calls: Iterable[Call[Any]]) -> list[UUID]:
        """Add tasks and return their ids."""
        return [added.id for added in self.direct.enqueue([call.task for call in calls])]

    def task(self, task_id: UUID) -> TaskView:
        """A task as it is now."""
        view = self.direct.run(inspect.task, task_id)
        assert view is not None
        return view

    def states(self) -> Counter[TaskState]:
        """How many tasks are in each state, wherever they are kept."""
        views = self.direct.run(inspect.list_tasks, TaskFilter(), limit=100_000)
        return Counter(view.state for view in views)

    def ids_of(self, state: TaskState) -> set[UUID]:
        """The tasks in that state."""
        views = self.direct.run(inspect.list_tasks, TaskFilter(states=[state]), limit=100_000)
        return {view.id for view in views}

    def history(self) -> list[Note]:
        """What the handlers wrote."""
        if self.closed:
            raise RuntimeError("the project is closed: nothing more will be written")
        if not self.history_file.exists():
            return []
        lines = [line.split() for line in self.history_file.read_text().splitlines()]
        return [
            Note(what, UUID(task), int(attempt), int(process), int(at))
            for what, task, attempt, process, at in lines
        ]

    def close(self) -> None:
        """Leave no process behind."""
        self.closed = True
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                kill_tree(worker.process)  # one of several processes outlives its supervisor
        self.direct.close()
