"""Many want the same rows at once, and somebody holds a snapshot all the while."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from celers_worker.store import make_direct_store
from tests import databases
from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.stage import Stage
from tests.faults.test_outages import PATIENT

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("storms")]


def test_producers_workers_and_unique_keys_that_meet_all_the_time_lose_nothing(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        # A SQLite file is no fair queue: who waits for it may wait longer than others.
        patient = {"CELERS_DATABASE_CALL_TIMEOUT": "30s", **PATIENT}
        workers = [
            stage.hire("--concurrency", "10", settings=patient).ready() for _ in range(scale(2, 4))
        ]

        def produce(number: int) -> None:
            with make_direct_store(stage.url) as direct:
                for round_ in range(scale(20, 400)):
                    key = f"key {round_ % 5}"
                    keyed = handlers.work.with_(unique_key=key).call().task
                    plain = [handlers.stumble.call(times=1).task for _ in range(3)]
                    stage.sent.update(task.id for task in (keyed, *plain))
                    added = direct.enqueue([keyed, *plain])
                    stage.acknowledged.update(one.id for one in added)

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(produce, number) for number in range(4)]:
                done.result()
        stage.finished()
        assert [worker.process.poll() for worker in workers] == [None] * len(workers)
        # A conflict is repeated where it happens; it is nobody's error.
        assert not [line for worker in workers for line in worker.log if line["level"] == "error"]
        stage.settle_up()

    everywhere(scenario)


def test_a_snapshot_that_somebody_holds_keeps_nobody_from_working(
    stage: Stage, scale: Scale
) -> None:
    with closing(databases.connect(stage.url)) as connection, closing(connection.cursor()) as held:
        held.execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ"
            if stage.database == "postgresql"
            else "START TRANSACTION WITH CONSISTENT SNAPSHOT"
        )
        held.execute("SELECT count(*) FROM celers_tasks")
        stage.hire("--concurrency", "20").ready()
        for _ in range(scale(5, 250)):
            stage.send([handlers.work.call() for _ in range(200)])
        stage.finished()
        held.execute("ROLLBACK")
    stage.board.injected("snapshot held", stage.database)
    stage.settle_up()
