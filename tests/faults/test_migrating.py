"""The tables change while workers work, by two who migrate at once and one who dies of it."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import text

from celers_worker.store import history, make_direct_store
from celers_worker.store.schema import HEAD, VERSION_TABLE, metadata
from celers_worker.store.server import schema_revision
from celers_worker.store.transaction import Transaction
from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.crash_points import CrashPoint
from tests.faults.stage import PATIENCE, Stage
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("crash points")]


def revision(stage: Stage) -> str | None:
    found: str | None = stage.direct.run(
        lambda transaction: schema_revision(transaction.connection)
    )
    return found


def remove_the_tables(transaction: Transaction) -> None:
    """Of all migrations; what they need to begin anew stays, as a person may leave it."""
    metadata.drop_all(transaction.connection)
    transaction.connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))


def test_a_migration_that_dies_at_any_statement_is_finished_by_the_next(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        for step in range(3, 1_000, scale(40, 5)):
            stage.direct.run(remove_the_tables)
            before = stage.crashes()
            point = CrashPoint("statement.answered", step, "kill")
            code = stage.run("celers_worker", "migrate", crash=point).wait(PATIENCE)
            if stage.crashes() == before:
                assert code == 0
                break  # it has fewer statements
            assert code == -signal.SIGKILL
            stage.board.injected("kill -9 of a migration", stage.database)
            both = [stage.run("celers_worker", "migrate") for _ in range(2)]
            # One of them waits for the other, and finds nothing left to do.
            assert [child.wait(PATIENCE) for child in both] == [0, 0]
            assert revision(stage) == HEAD
        stage.enqueue([handlers.work.call() for _ in range(5)])
        stage.hire()
        stage.finished()
        assert stage.completed() == 5

    everywhere(scenario)


def test_two_migrate_while_a_worker_works_and_nothing_is_lost(everywhere: Play) -> None:
    def scenario(stage: Stage) -> None:
        worker = stage.hire("--concurrency", "5").ready()
        producer = stage.producer(batches=10_000, size=3)
        eventually_sync(lambda: stage.completed() > 20, within=PATIENCE)
        both = [stage.run("celers_worker", "migrate") for _ in range(2)]
        assert [child.wait(PATIENCE) for child in both] == [0, 0]
        stage.board.injected("migration by two at once", stage.database)
        # What an operator does under load besides: a column that we do not know, and a trail.
        with make_direct_store(stage.url) as direct:
            direct.run(_add_a_column)
            direct.run(history.switch_on, "another queue")
        stage.board.injected("table altered under load", stage.database)
        completed = stage.completed()
        eventually_sync(lambda: stage.completed() > completed + 20, within=PATIENCE)
        producer.kill()
        producer.wait(20)
        stage.finished()
        assert worker.process.poll() is None
        stage.settle_up()

    everywhere(scenario)


def _add_a_column(transaction: Transaction) -> None:
    added = text("ALTER TABLE celers_tasks ADD COLUMN of_somebody_else INTEGER")
    transaction.connection.execute(added)
