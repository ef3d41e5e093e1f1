"""What an application imports in its own tests.

There is no fake queue: a SQLite file is quick enough, and it is the real thing.

    async def test_sign_up_greets(tmp_path):
        app.client.config = testing.config(tmp_path)
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


def config(directory: Path) -> Config:
    """A configuration with a new database in *directory*, and a worker that never waits."""
    default = Config()
    return msgspec.structs.replace(
        default,
        database=msgspec.structs.replace(
            default.database, url=f"sqlite:///{directory / 'celers.db'}"
        ),
        worker=msgspec.structs.replace(
            default.worker, settle_interval=timedelta(0), grace=timedelta(seconds=5)
        ),
    )


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
