"""After many tasks and faults a worker holds no more than before, and has told no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from celers_worker.store.schema import results
from celers_worker.store.transaction import Transaction
from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.stage import PATIENCE, Stage
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("outages")]

#: What a pool and caches may still take, once; a leak would be one for each task or fault.
SPARE_TASKS, SPARE_DESCRIPTORS, SPARE_MEMORY = 5, 12, 40 * 1024 * 1024


def look(stage: Stage) -> dict[str, Any]:
    """Ask the only worker what it holds."""
    [task] = stage.enqueue([handlers.look_at_yourself.call()])
    stored = eventually_sync(lambda: stage.direct.run(_result, task), within=PATIENCE)
    found: dict[str, Any] = msgspec.json.decode(stored)
    return found


def _result(transaction: Transaction, task: Any) -> bytes | None:
    found = select(results.c.result).where(results.c.task_id == task)
    return transaction.connection.execute(found).scalar()


def test_a_worker_keeps_nothing_of_what_is_over(everywhere: Play, scale: Scale) -> None:
    def scenario(stage: Stage) -> None:
        worker = stage.hire("--concurrency", "20").ready()

        def work() -> None:
            for _ in range(scale(3, 60)):
                stage.send([handlers.work.call() for _ in range(200)])
                stage.send([handlers.stumble.call(times=2) for _ in range(20)])
                stage.send([handlers.pay.call() for _ in range(10)], into=stage.paid)
                stage.finished()

        work()
        before = look(stage)
        work()
        after = look(stage)
        assert after["tasks"] <= before["tasks"] + SPARE_TASKS, (before, after)
        assert after["descriptors"] <= before["descriptors"] + SPARE_DESCRIPTORS, (before, after)
        assert after["memory"] <= before["memory"] + SPARE_MEMORY, (before, after)
        assert worker.process.poll() is None
        stage.settle_up()

    everywhere(scenario)


def test_the_password_of_the_database_is_nowhere_to_be_read(stage: Stage) -> None:
    secret = "Correct-Horse-7731"
    if stage.database == "postgresql":  # it trusts everybody, so any password will do
        stage.address = stage.url.replace("celers@", f"celers:{secret}@")
    else:
        secret = ":secret@"
    worker = stage.hire("--log-level", "debug", settings={"CELERS_METRICS_PORT": "0"}).ready()
    stage.send([handlers.stumble.call(times=1) for _ in range(5)])
    stage.finished()
    readable = [
        worker.log_file.read_text(),
        Path(f"/proc/{worker.process.pid}/cmdline").read_text(),
    ]
    unreachable = {
        "CELERS_DATABASE_URL": (stage.address or stage.url).replace("127.0.0.1", "127.0.0.9")
    }
    lost = stage.hire("--fail-fast", settings=unreachable)
    assert lost.process.wait(PATIENCE) != 0
    readable.append(lost.log_file.read_text())
    assert not [text for text in readable if secret in text]
    stage.settle_up()
