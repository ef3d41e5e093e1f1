"""The archive's partitions, one for each day: to drop one costs nothing.

Only the owner of the archive can change it. So a function does that, as its owner and for whoever
may call it, and a worker need not own the tables.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, literal_column, text

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

FUNCTION = "celers_maintain"
SIGNATURE = f"{FUNCTION}(text, date)"
CREATE_FUNCTION = f"""\
CREATE OR REPLACE FUNCTION {FUNCTION}(duty text, day date DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $celers$
DECLARE
    _partition text := concat('celers_task_archive_', to_char(day, 'YYYYMMDD'));
    _midnight text := to_char(day, 'YYYY-MM-DD');
    _next text := to_char(day + 1, 'YYYY-MM-DD');
BEGIN
    IF duty = 'make' THEN
        EXECUTE concat(
            'CREATE TABLE IF NOT EXISTS ', quote_ident(_partition),
            ' PARTITION OF celers_task_archive FOR VALUES FROM (',
            quote_literal(concat(_midnight, ' 00\\:00\\:00+00')), ') TO (',
            quote_literal(concat(_next, ' 00\\:00\\:00+00')), ')'
        );
    ELSIF duty = 'drop' AND EXISTS (
        SELECT FROM pg_inherits WHERE inhrelid = to_regclass(_partition)
            AND inhparent = to_regclass('celers_task_archive')
    ) THEN
        EXECUTE concat('DROP TABLE ', quote_ident(_partition));
    ELSIF duty = 'analyze' THEN
        ANALYZE celers_tasks;
        ANALYZE celers_task_archive;
        ANALYZE celers_dead_letter_queue;
    END IF;
END
$celers$"""
DROP_FUNCTION = f"DROP FUNCTION IF EXISTS {SIGNATURE}"
#: Functions are open to everybody until it is said otherwise.
CLOSE_FUNCTION = f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC"
MAKE = text(f"SELECT {FUNCTION}('make', :day)")
DROP = text(f"SELECT {FUNCTION}('drop', :day)")
ANALYZE = text(f"SELECT {FUNCTION}('analyze')")


def in_this_schema(signature: str) -> str:
    """The statement that lets a function find its own tables, whoever calls it.

    Without it a caller's temporary tables would come first, and a function that does as its owner
    would do it to them.
    """
    return (
        "DO $celers$ BEGIN EXECUTE concat("
        f"'ALTER FUNCTION {signature} SET search_path = ', quote_ident(current_schema()), "
        "', pg_temp'); END $celers$"
    )


def partition_name(day: date) -> str:
    """The name of the archive's partition of *day* (UTC)."""
    return f"celers_task_archive_{day:%Y%m%d}"


def day_of(name: str) -> date | None:
    """The day of a partition that ``partition_name`` has named; None for others, also people's."""
    found = re.fullmatch(r"celers_task_archive_([0-9]{8})", name)
    try:
        return None if found is None else date.fromisoformat(found[1])
    except ValueError:
        return None


def only(name: str) -> list[ColumnElement[bool]]:
    """Conditions on the archive that leave one partition, also to the planner."""
    found: list[ColumnElement[bool]] = [
        literal_column(f"{archive.name}.tableoid") == literal_column(f"'{name}'::regclass")
    ]
    if (day := day_of(name)) is not None:
        begin = datetime.combine(day, time(), UTC)
        found += [
            archive.c.completed_at >= begin,
            archive.c.completed_at < begin + timedelta(days=1),
        ]
    return found


def create_partition(day: date) -> str:
    """The statement that makes the archive's first partition, that of *day* (UTC)."""
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF celers_task_archive "
        f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"
    )
