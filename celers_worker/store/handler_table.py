"""The table of handlers that are held; ``store.schema`` has it with all others."""

from __future__ import annotations

from sqlalchemy import Column, Table

from celers_worker.store.columns import MYSQL, metadata, name_text
from celers_worker.store.types import UtcDateTime

#: What a person said about a handler, and its circuit; a handler without a row is free.
handlers = Table(
    "celers_handlers",
    metadata,
    Column("name", name_text(255), primary_key=True),
    Column("paused_at", UtcDateTime()),
    Column("paused_reason", name_text(255)),
    # Its circuit is open since then, for this failure. One worker may let a task through after
    # ``probe_at``: the one that has written its id there.
    Column("opened_at", UtcDateTime()),
    Column("opened_reason", name_text(255)),
    Column("probe_at", UtcDateTime()),
    Column("prober", name_text(255)),
    **MYSQL,
)
