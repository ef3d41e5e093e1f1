"""VACUUM, ANALYZE and their like, which no transaction may hold. Table by table, for progress."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celers_worker.core.errors import Forbidden, Refused
from celers_worker.store.direct import DirectStore
from celers_worker.store.errors import raise_translated
from celers_worker.store.schema import metadata


class Tuning(StrEnum):
    """What may be asked of the database."""

    VACUUM = "vacuum"
    OPTIMIZE = "optimize"
    ANALYZE = "analyze"


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, and what it is about."""

    subject: str
    statement: str


#: Per table; for SQLite, whose tables share a file, the statements themselves.
_PER_TABLE = {
    "postgresql": {
        Tuning.VACUUM: "VACUUM {}",
        Tuning.OPTIMIZE: "VACUUM (ANALYZE) {}",
        Tuning.ANALYZE: "ANALYZE {}",
    },
    "mysql": {
        Tuning.VACUUM: "OPTIMIZE TABLE {}",
        Tuning.OPTIMIZE: "OPTIMIZE TABLE {}",
        Tuning.ANALYZE: "ANALYZE TABLE {}",
    },
}
_OF_FILE = {
    Tuning.VACUUM: ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"),
    Tuning.OPTIMIZE: ("PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)"),
    Tuning.ANALYZE: ("ANALYZE",),
}


def steps(store: DirectStore, tuning: Tuning) -> list[Step]:
    """The statements that *tuning* is on this database, in their order."""
    backend = store.url.get_backend_name()
    if backend == "sqlite":
        return [Step(statement, statement) for statement in _OF_FILE[tuning]]
    pattern = _PER_TABLE[backend][tuning]
    return [Step(name, pattern.format(name)) for name in sorted(metadata.tables)]


def tune(store: DirectStore, tuning: Tuning) -> Iterator[Step]:
    """Run the statements one by one, each its own transaction; yields each that is done.

    Raises StoreError: what was done before stays done, and it may be asked for again.
    """
    connection = store.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        notices: list[str] = []
        if store.url.get_backend_name() == "postgresql":
            driver.autocommit = True
            driver.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        for step in steps(store, tuning):
            _run(driver, step)
            _check_skipped(step, notices)
            yield step
    except Exception as error:  # translated
        raise_translated(error, store.name)
    finally:
        connection.invalidate()  # its mode is not that of the others


def _check_skipped(step: Step, notices: list[str]) -> None:
    """PostgreSQL only warns of a table that is not ours to vacuum, and does nothing."""
    skipped = next((notice for notice in notices if "skipping" in notice), None)
    if skipped is not None:
        raise Forbidden(f"{step.statement}: {skipped}. Run it as the owner of the tables.")


def _run(driver: Any, step: Step) -> None:
    cursor = driver.cursor()
    try:
        cursor.execute(step.statement)
        rows = cursor.fetchall() if cursor.description else []
    finally:
        cursor.close()
    # MySQL reports failures of these as rows: table, operation, kind, text.
    problems = [str(row[3]) for row in rows if len(row) == 4 and str(row[2]).lower() == "error"]
    if problems:
        raise Refused(f"{step.statement}: {problems[0]}")
