"""The archive's partitions, one for each day: to drop one costs nothing."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import text

DEFAULT_PARTITION = "celers_task_archive_default"
PARTITIONS = text(
    "SELECT child.relname FROM pg_inherits "
    "JOIN pg_class child ON child.oid = inhrelid "
    "WHERE inhparent = 'celers_task_archive'::regclass"
)
#: True for one transaction at a time.
ALONE = text("SELECT pg_try_advisory_xact_lock(1667591270)")


def partition_name(day: date) -> str:
    """The name of the archive's partition of *day* (UTC)."""
    return f"celers_task_archive_{day:%Y%m%d}"


def create_partition(day: date) -> str:
    """The statement that makes the archive's partition of *day* (UTC)."""
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF celers_task_archive "
        f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"
    )
