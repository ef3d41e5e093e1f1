"""The tables of limits over all workers; ``store.schema`` has them with all others."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table

from celers_worker.store import sql
from celers_worker.store.columns import MYSQL, metadata, name_text
from celers_worker.store.types import Id, UtcDateTime

#: A limit that somebody has met. Its row is the lock of all who ask for room.
limits = Table(
    "celers_limits",
    metadata,
    Column("name", name_text(255), primary_key=True),
    # When the next run may start if runs are spread evenly; earlier by what may come at once.
    Column("free_at", UtcDateTime(), nullable=False, server_default=sql.column_now()),
    **MYSQL,
)

#: Which tasks were given room. A row counts as long as its task runs under this very lease, so
#: nobody has to take it away in time: the settle, the reaper and every other end does.
limit_holders = Table(
    "celers_limit_holders",
    metadata,
    Column("limit_name", name_text(255), primary_key=True),
    Column("task_id", Id(), primary_key=True),
    Column("lease", BigInteger, nullable=False),
    **MYSQL,
)
