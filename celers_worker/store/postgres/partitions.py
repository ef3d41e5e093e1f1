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


def partition_name(day: date) -> str:
    """The name of the archive's partition of *day* (UTC)."""
    return f"celers_task_archive_{day:%Y%m%d}"


def create_partition(day: date) -> str:
    """The statement that makes the archive's partition of *day* (UTC)."""
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF celers_task_archive "
        f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"
    )
