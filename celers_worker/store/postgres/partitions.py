"""The archive's partitions, one for each day: to drop one costs nothing."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Column, MetaData, Table, text

from celers_worker.store.schema import archive

DEFAULT_PARTITION = "celers_task_archive_default"
PARTITIONS = text(
    "SELECT child.relname FROM pg_inherits "
    "JOIN pg_class child ON child.oid = inhrelid "
    "WHERE inhparent = 'celers_task_archive'::regclass"
)
#: The pages of a partition, counted by the file and not by statistics.
PAGES = text(
    "SELECT pg_relation_size(CAST(:partition AS regclass)) / current_setting('block_size')::bigint"
)
#: Pages that are read at a time from its end: 8 MB, some twenty to fifty thousand rows.
STRETCH = 1_000
#: True for one transaction at a time.
ALONE = text("SELECT pg_try_advisory_xact_lock(1667591270)")


def partition_name(day: date) -> str:
    """The name of the archive's partition of *day* (UTC)."""
    return f"celers_task_archive_{day:%Y%m%d}"


def partition_table(name: str) -> Table:
    """A partition, to read it alone."""
    columns = [Column(column.name, column.type) for column in archive.columns]
    return Table(name, MetaData(), *columns)


def create_partition(day: date) -> str:
    """The statement that makes the archive's partition of *day* (UTC)."""
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF celers_task_archive "
        f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"
    )
