"""Workers and producers are killed and frozen, at random and all the time."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import control
from tests.e2e.project import WorkerProcess
from tests.faults import handlers
from tests.faults.conftest import Play, Scale
from tests.faults.scoreboard import AFTER_DEATH
from tests.faults.stage import LEASE, PATIENCE, REAP, Stage
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("storms")]
#: Printed when a test fails: the same storm again, as far as processes allow.
SEED = random.SystemRandom().randrange(2**32)

KILL = "kill -9 of a worker or producer"
#: A commit of SQLite's is for one worker and waits for the disk, which others use at that time.
SLOW_FULL = 4_000


def load(stage: Stage, count: int) -> None:
    stage.send([handlers.work.call(seconds=0.02) for _ in range(count)])
    stage.send([handlers.stumble.call(times=1) for _ in range(count // 10)])
    stage.send([handlers.narrow.call(seconds=0.02) for _ in range(count // 10)], into=stage.narrow)
    stage.send([handlers.pay.call() for _ in range(count // 20)], into=stage.paid)


def pause(seconds: float) -> None:
    """Let the storm blow for a while: how long is part of what is random."""
    end = time.monotonic() + seconds
    eventually_sync(lambda: time.monotonic() > end, within=seconds + PATIENCE)


def test_workers_and_producers_killed_without_end_lose_nothing(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        chance = random.Random(f"{SEED} {stage.database}")
        load(stage, scale(400, SLOW_FULL if stage.database == "sqlite" else 24_000))
        workers = [stage.hire("--concurrency", "30") for _ in range(scale(2, 4))]
        producer = stage.producer(batches=10_000, size=3)
        kills = scale(6, 60)
        for _ in range(kills):
            pause(chance.uniform(0.3, 1.2))
            if chance.random() < 0.2:
                producer.kill()
                producer = stage.producer(batches=10_000, size=3)
                continue
            victim = chance.choice(workers)
            victim.process.kill()
            workers[workers.index(victim)] = stage.hire("--concurrency", "30")
        producer.kill()
        producer.wait(20)
        stage.board.injected(KILL, stage.database, kills)
        stage.settle_up()

    everywhere(scenario)


def test_what_a_killed_worker_ran_runs_again_when_its_lease_has_ended(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        for number in range(scale(1, 10)):
            gate = stage.folder / f"gate-{number}"
            [task] = stage.send([handlers.gated.call(path=str(gate))])
            late = Late(stage, gate, task, stage.hire("--concurrency", "1").ready())
            late.ran(1)
            stage.hire("--concurrency", "1").ready()
            late.worker.process.kill()
            began = time.monotonic()
            late.ran(2)
            seconds = time.monotonic() - began
            stage.board.recovered(AFTER_DEATH, seconds, bound=LEASE + REAP)
            # Twice: a machine on which others work too.
            assert seconds < 2 * (LEASE + REAP)
            gate.write_text("go")
            late.is_now(TaskState.COMPLETED)
            stage.dismiss()
        stage.board.injected(KILL, stage.database, scale(1, 10))
        stage.settle_up()

    everywhere(scenario)


def test_frozen_workers_wake_up_and_change_nothing_that_others_have_done(
    everywhere: Play, scale: Scale
) -> None:
    def scenario(stage: Stage) -> None:
        chance = random.Random(f"{SEED} {stage.database}")
        load(stage, scale(300, SLOW_FULL if stage.database == "sqlite" else 16_000))
        workers = [stage.hire("--concurrency", "30").ready() for _ in range(3)]
        for _ in range(scale(3, 20)):
            victim = chance.choice(workers)
            stage.hold(victim)
            pause(chance.uniform(0.5, 1.5) * LEASE)
            victim.process.send_signal(signal.SIGCONT)
            pause(chance.uniform(0.1, 0.5))
        stage.board.injected("worker frozen (SIGSTOP)", stage.database, scale(3, 20))
        stage.settle_up()

    everywhere(scenario)


class Late(NamedTuple):
    """A worker that froze in the middle of a task, and what happens before it wakes."""

    stage: Stage
    gate: Path
    task: UUID
    worker: WorkerProcess

    def wakes(self) -> None:
        self.worker.process.send_signal(signal.SIGCONT)

    def ran(self, times: int) -> None:
        """Wait until the task was begun so often."""
        eventually_sync(
            lambda: sum(run.task == self.task for run in self.stage.runs()) >= times,
            within=PATIENCE,
        )

    def is_now(self, state: TaskState) -> None:
        eventually_sync(lambda: self.stage.task(self.task).state is state, within=PATIENCE)


def while_the_other_runs(late: Late) -> None:
    late.ran(2)
    late.wakes()
    late.gate.write_text("go")


def after_the_other_completed(late: Late) -> None:
    late.ran(2)
    late.gate.write_text("go")
    late.is_now(TaskState.COMPLETED)
    late.wakes()


def after_the_other_failed(late: Late) -> None:
    late.ran(2)
    late.gate.write_text("fail")
    late.ran(3)
    late.gate.write_text("go")
    late.wakes()


def after_a_person_had_requeued_it(late: Late) -> None:
    late.is_now(TaskState.FAILED)
    late.stage.direct.run(control.retry, late.task)
    late.ran(2)
    late.wakes()
    late.gate.write_text("go")


ORDERS = (
    while_the_other_runs,
    after_the_other_completed,
    after_the_other_failed,
    after_a_person_had_requeued_it,
)


def test_a_late_outcome_is_refused_in_whatever_order_things_happened(everywhere: Play) -> None:
    def scenario(stage: Stage) -> None:
        for order in ORDERS:
            gate = stage.folder / order.__name__
            tries = 0 if order is after_a_person_had_requeued_it else 100
            [task] = stage.send([handlers.gated.with_(max_retries=tries).call(path=str(gate))])
            late = Late(stage, gate, task, stage.hire("--concurrency", "1").ready())
            late.ran(1)
            stage.hold(late.worker)
            stage.hire("--concurrency", "1").ready()
            order(late)
            late.is_now(TaskState.COMPLETED)
            eventually_sync(lambda late=late: knows_it_is_late(late.worker), within=PATIENCE)
            stage.dismiss()
        stage.board.injected("worker frozen (SIGSTOP)", stage.database, len(ORDERS))
        stage.settle_up()

    everywhere(scenario)


def knows_it_is_late(worker: WorkerProcess) -> bool:
    late = {"outcome refused: the lease was lost", "leases lost"}
    return any(line["event"] in late for line in worker.log)
