"""PostgreSQL's transaction: it tells others of what it did, and keeps the archive's partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, Table, TextClause, text
from sqlalchemy.exc import DBAPIError

from celers_worker.store import lease_statements, sql, statements
from celers_worker.store.errors import Fault, fault_of
from celers_worker.store.postgres import partitions, settling
from celers_worker.store.schema import archive
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

    def renew(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """One statement for both: a heartbeat asks no more often than before there were orders."""
        return self.connection.execute(lease_statements.RENEW_AND_READ, values).all()

    def tell_ended(self) -> None:
        """Notify those who wait for results, if there are any."""
        self.connection.execute(settling.TELL_ENDED)

    def keep_partitions(self, retention: timedelta, *, ahead: int = 3) -> None:
        """Make the archive's partitions of the coming days, and drop those past *retention*."""
        today = self._today()
        existing = set(self.connection.execute(partitions.PARTITIONS).scalars())
        days = [today + timedelta(days=offset) for offset in range(ahead + 1)]
        missing = [day for day in days if partitions.partition_name(day) not in existing]
        # IF NOT EXISTS does not help two who create the same table at once.
        if missing and self.connection.execute(partitions.ALONE).scalar():
            for day in missing:
                self._change_partition(partitions.MAKE, day)
        oldest = today - retention - timedelta(days=1)
        for day in sorted(filter(None, map(partitions.day_of, existing))):
            if day < oldest:
                self._change_partition(partitions.DROP, day)

    def newest_ended(
        self, query: Callable[[Table], Select[Any]], window: timedelta, *, limit: int
    ) -> Sequence[Any]:
        """The tails of the newest partitions: an index on completed_at would cost every settle."""
        oldest = partitions.partition_name(self._today() - window - timedelta(days=1))
        found: list[Any] = []
        for name in sorted(self.connection.execute(partitions.PARTITIONS).scalars(), reverse=True):
            if name >= oldest and len(found) < limit:
                found += self._tail(name, query, window, limit)
        return sorted(found, key=lambda row: row.ago)[:limit]

    def _tail(
        self, name: str, query: Callable[[Table], Select[Any]], window: timedelta, limit: int
    ) -> Sequence[Any]:
        """The last rows of a partition, stretch by stretch: to its end rows are added."""
        # By way of the archive: a right to read it is none to read its partitions.
        recent = query(archive).where(
            archive.c.completed_at > sql.later(-window.total_seconds()), *partitions.only(name)
        )
        pages = self.connection.execute(partitions.PAGES, {"partition": name}).scalar_one()
        found: list[Any] = []
        while pages > 0 and len(found) < limit:
            before, pages = pages, max(pages - partitions.STRETCH, 0)
            stretch = text(
                f"{archive.name}.ctid >= '({pages},0)' AND {archive.name}.ctid < '({before},0)'"
            )
            rows = self.connection.execute(recent.where(stretch)).all()
            if not rows:
                break
            found += rows
        return found

    def analyze(self) -> None:
        """Autovacuum looks at partitions only, never at the archive as a whole."""
        self.connection.execute(partitions.ANALYZE)

    def _today(self) -> date:
        """By the database's clock: by one that is wrong, young partitions would be dropped."""
        now: datetime = self.connection.execute(statements.NOW).scalar_one()
        return now.astimezone(UTC).date()

    def _change_partition(self, statement: TextClause, day: date) -> None:
        try:
            with self.connection.begin_nested():
                # It waits for the archive's writers, so not for long; the next tick tries again.
                self.connection.execute(text("SET LOCAL lock_timeout = '1s'"))
                self.connection.execute(statement, {"day": day})
        except DBAPIError as error:
            # The default partition has rows of that day: they stay there, and no harm is done. Or
            # somebody reads the archive, and who waited here would have all others wait behind.
            if fault_of(error) not in (Fault.DATA, Fault.CONFLICT):
                raise
