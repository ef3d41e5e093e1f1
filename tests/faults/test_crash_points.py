"""Every point at which a worker can die, fail or freeze, once each: nothing is lost."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import text

from celers_worker.store.transaction import Transaction
from tests.e2e.project import WorkerProcess
from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.crash_points import CrashPoint
from tests.faults.stage import PATIENCE, Stage
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("crash points")]

_MOMENTS = ("begun", "written", "committed")
#: What every worker does, in the order of its life.
POINTS = [
    f"{operation}.{moment}"
    for operation in (
        *("register", "reap", "prune", "claim", "renew", "leases", "settle", "deregister"),
    )
    for moment in _MOMENTS
]
#: So few in CI: the worst places hold.
QUICK = {"register.committed", "claim.written", "claim.committed", "settle.committed"}
#: A claim is one statement on PostgreSQL, which commits by itself.
NOWHERE = {("postgresql", "claim.written")}


def load(stage: Stage) -> None:
    stage.send([handlers.work.call(seconds=0.02) for _ in range(20)])
    stage.send([handlers.work.call(seconds=2)])  # for the heartbeat to find it
    stage.send([handlers.stumble.call(times=1) for _ in range(3)])
    stage.send([handlers.pay.call() for _ in range(3)], into=stage.paid)


def free_the_upkeep(transaction: Transaction) -> None:
    """Let the next worker prune, though the last one that did has not been silent for long."""
    transaction.connection.execute(text("DELETE FROM celers_upkeep"))


def meet(stage: Stage, point: CrashPoint) -> WorkerProcess:
    """Start a worker, and wait until it has met *point*."""
    before = stage.crashes()
    stage.direct.run(free_the_upkeep)
    load(stage)
    harmed = stage.hire("--concurrency", "5", crash=point)
    if point.name.startswith("deregister"):
        stage.finished()
        harmed.process.send_signal(signal.SIGTERM)
    eventually_sync(lambda: stage.crashes() > before, within=PATIENCE)
    return harmed


@pytest.mark.parametrize("action", ["kill", "fail"])
def test_whatever_a_worker_was_doing_when_it_died_or_its_call_failed_nothing_is_lost(
    everywhere: Play, scale: Scale, action: str
) -> None:
    points = [name for name in POINTS if scale.full or name in QUICK]

    def scenario(stage: Stage) -> None:
        for name in points:
            if (stage.database, name) in NOWHERE:
                continue
            harmed = meet(stage, CrashPoint(name, 1, action))
            if action == "kill":
                stage.hire("--concurrency", "20")
            stage.finished()
            if action == "fail" and not name.startswith("deregister"):
                assert harmed.process.poll() is None, f"{name}: {harmed.log[-3:]}"
            stage.dismiss()
        stage.board.injected(f"worker: {action} at a named point", stage.database, stage.crashes())
        stage.settle_up()

    everywhere(scenario)
