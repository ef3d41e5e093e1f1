"""What an application imports in its own tests.

There is no fake queue: SQLite is quick enough, in memory or in a file, and it is the real thing.

    async def test_sign_up_greets():
        app.client.config = testing.config()
        await sign_up("ada@example.org")
        run = await testing.drain(app)
        assert run.completed == ["send_welcome"]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from celers_worker.app import Celers
from celers_worker.config import Config
from celers_worker.core.events import Events, TasksSettled
from celers_worker.core.outcome import Completed, Dead, Retry, Settlement
from celers_worker.core.task import new_id
from celers_worker.store import memory
from celers_worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Drained:
    """What ran: the names of the tasks by what came of them, in the order of their ends."""

    settlements: Sequence[Settlement] = field(repr=False)

    @property
    def completed(self) -> list[str]:
        """Tasks whose handlers returned."""
        return self._named(Completed)

    @property
    def retried(self) -> list[str]:
        """Attempts that failed and will be repeated."""
        return self._named(Retry)

    @property
    def dead(self) -> list[str]:
        """Tasks that went to the dead letter queue."""
        return self._named(Dead)

    def _named(self, outcome: type) -> list[str]:
        return [one.task.name for one in self.settlements if isinstance(one.outcome, outcome)]


#: The database in memory of the last configuration.
_last_url = ""


def config(directory: Path | None = None) -> Config:
    """A configuration with a new database, and a worker that never waits.

    The database is a file in *directory*, else in memory; the one in memory that the last call
    made ends then, as soon as nothing has it open any more.
    """
    default = Config()
    url = _new_memory() if directory is None else f"sqlite:///{directory / 'celers.db'}"
    return msgspec.structs.replace(
        default,
        database=msgspec.structs.replace(default.database, url=url),
        worker=msgspec.structs.replace(
            default.worker, settle_interval=timedelta(0), grace=timedelta(seconds=5)
        ),
    )


def _new_memory() -> str:
    global _last_url
    if _last_url:
        memory.forget(_last_url)
    _last_url = f"memory://test-{new_id().hex}"
    return _last_url


async def drain(app: Celers) -> Drained:
    """Run what is due, and what it enqueues, until nothing is due; later retries are left.

    On the database of the application's configuration. Handlers run as in a worker: in tasks and
    threads, with their timeouts and retries.
    """
    events = Events()
    settlements: list[Settlement] = []
    events.listen(TasksSettled, lambda event: settlements.extend(event.settlements))
    await Worker(app, app.client.config, until="drain", events=events).run()
    return Drained(settlements)
