"""Workers are told to stop, in every order and at every moment."""

from __future__ import annotations

import random
import signal

import pytest

from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.stage import LEASE, PATIENCE, Stage
from tests.faults.test_storms import SEED, pause
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("storms")]

#: Signals in their order; the worker is gone when the last one has been sent, or soon after.
ORDERS = {
    "SIGTERM": [signal.SIGTERM],
    "SIGINT": [signal.SIGINT],
    "SIGTERM twice": [signal.SIGTERM, signal.SIGTERM],
    "SIGTERM, then SIGKILL": [signal.SIGTERM, signal.SIGKILL],
    "SIGTERM, frozen, continued": [signal.SIGTERM, signal.SIGSTOP, signal.SIGCONT],
}
#: Far more than the tasks take: a thread that has not ended by then is left behind, and told of.
GRACE = {"CELERS_WORKER_GRACE": "5s", "CELERS_WORKER_CANCEL_GRACE": "5s"}


def test_a_worker_told_to_stop_at_any_moment_and_in_any_order_stops_and_loses_nothing(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        chance = random.Random(f"{SEED} {stage.database}")
        sent = 0
        for _ in range(scale(1, 8)):
            for name, numbers in ORDERS.items():
                stage.send([handlers.work.call(seconds=0.05) for _ in range(30)])
                stage.send([handlers.in_thread.call(seconds=0.05) for _ in range(2)])
                stage.send([handlers.pay.call()], into=stage.paid)
                worker = stage.hire("--concurrency", "5", settings=GRACE)
                # Also before it works, and before it has a handler for signals at all.
                pause(chance.uniform(0.0, 0.6))
                for number in numbers:
                    if number is signal.SIGSTOP:
                        stage.frozen.add(worker.process.pid)
                    worker.process.send_signal(number)
                    pause(chance.uniform(0.0, 0.1))
                    sent += 1
                code = worker.process.wait(PATIENCE)
                # A signal that comes before there is a handler for it ends the process itself.
                early = {0, -signal.SIGTERM, 130, 143} | ({-9} if "KILL" in name else set())
                assert code in early, f"{name}: {code}"
        stage.board.injected("signal", stage.database, sent)
        stage.settle_up()

    everywhere(scenario)


def test_a_drain_that_outlasts_the_lease_keeps_it(everywhere: Play) -> None:
    def scenario(stage: Stage) -> None:
        stage.send([handlers.work.call(seconds=2 * LEASE) for _ in range(3)])
        first = stage.hire("--concurrency", "5", settings={"CELERS_WORKER_GRACE": "60s"}).ready()
        eventually_sync(lambda: len(stage.runs()) == 3, within=PATIENCE)
        stage.hire("--concurrency", "5")
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(PATIENCE) == 0
        assert [run.how for run in stage.runs()] == ["end"] * 3
        stage.board.injected("signal", stage.database)
        stage.settle_up()

    everywhere(scenario)
