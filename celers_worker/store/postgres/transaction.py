"""PostgreSQL's transaction: it tells others of what it did, and keeps the archive's partitions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from celers_worker.store.errors import Fault, fault_of
from celers_worker.store.postgres import partitions
from celers_worker.store.transaction import Transaction

#: NOTIFY's channels. Hints only: polling finds everything without them.
TASKS_CHANNEL = "celers_tasks"
CONTROL_CHANNEL = "celers_control"


class PostgresTransaction(Transaction):
    """A transaction on PostgreSQL: it can tell others of what it did."""

    isolation = "READ COMMITTED"

    def announce(self, queues: Iterable[str]) -> None:
        """Notify waiting workers, once a queue; delivered when the transaction commits."""
        for queue in sorted(queues):
            self.connection.execute(
                text("SELECT pg_notify(:channel, :queue)"),
                {"channel": TASKS_CHANNEL, "queue": queue},
            )

    def nudge(self) -> None:
        """Notify workers that a person asked for something."""
        self.connection.execute(
            text("SELECT pg_notify(:channel, '')"), {"channel": CONTROL_CHANNEL}
        )

    def keep_partitions(self, retention: timedelta, *, ahead: int = 3) -> None:
        """Make the archive's partitions of the coming days, and drop those past *retention*."""
        today = datetime.now(UTC).date()
        existing = set(self.connection.execute(partitions.PARTITIONS).scalars())
        days = [today + timedelta(days=offset) for offset in range(ahead + 1)]
        missing = [day for day in days if partitions.partition_name(day) not in existing]
        # IF NOT EXISTS does not help two who create the same table at once.
        if missing and self.connection.execute(partitions.ALONE).scalar():
            for day in missing:
                self._create_partition(partitions.create_partition(day))
        oldest = partitions.partition_name(today - retention - timedelta(days=1))
        for name in sorted(existing):
            if name != partitions.DEFAULT_PARTITION and name < oldest:
                self.connection.execute(text(f"DROP TABLE {name}"))

    def _create_partition(self, statement: str) -> None:
        try:
            with self.connection.begin_nested():
                # It waits for the archive's writers, so not for long; the next tick tries again.
                self.connection.execute(text("SET LOCAL lock_timeout = '1s'"))
                self.connection.execute(text(statement))
        except DBAPIError as error:
            # The default partition has rows of that day: they stay there, and no harm is done.
            if fault_of(error) not in (Fault.DATA, Fault.CONFLICT):
                raise
