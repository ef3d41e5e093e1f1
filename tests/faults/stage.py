"""A stage: a database with an audit trail, producers that keep accounts, workers to be harmed."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from celers_worker.app.declared import Call
from celers_worker.core.errors import StoreError
from celers_worker.selftest.checker import judge
from celers_worker.selftest.evidence import Evidence, Run, Verdict, runs_of
from celers_worker.store import DirectStore, StoreOptions, history, make_direct_store
from celers_worker.store.evidence import recorded
from celers_worker.store.transaction import Transaction
from tests.e2e.project import QUICK, Project, WorkerProcess
from tests.faults.crash_points import NOTES, VARIABLE, CrashPoint
from tests.faults.handlers import QUEUE
from tests.faults.nursery import Child, Nursery
from tests.faults.scoreboard import Scoreboard
from tests.waiting import eventually_sync

#: Of QUICK: the lease, the reap interval, and what a loaded machine adds to both.
LEASE, REAP = 3.0, 0.5
#: A machine with nothing else to do needs a tenth of it; it is no promise, only an end of waiting.
PATIENCE = 90.0


_PATIENT = StoreOptions(call_timeout=timedelta(minutes=2))


@dataclass
class Stage(Project):
    """A project whose workers come from the nursery, and whose tasks leave a trail."""

    nursery: Nursery = field(kw_only=True)
    board: Scoreboard = field(kw_only=True)
    #: How the scoreboard calls the database, and where workers find it: through a proxy perhaps.
    database: str = field(kw_only=True)
    address: str | None = field(default=None, kw_only=True)
    acknowledged: set[UUID] = field(default_factory=set, kw_only=True)
    sent: set[UUID] = field(default_factory=set, kw_only=True)
    paid: set[UUID] = field(default_factory=set, kw_only=True)
    narrow: set[UUID] = field(default_factory=set, kw_only=True)
    frozen: set[int] = field(default_factory=set, kw_only=True)
    others: list[Child] = field(default_factory=list, kw_only=True)

    @classmethod
    def built(
        cls, url: str, folder: Path, direct: DirectStore, nursery: Nursery, board: Scoreboard
    ) -> Stage:
        """Switch on the trail, and make the table of effects; *direct* is migrated."""
        direct.run(history.switch_on, QUEUE)
        direct.run(_make_effects)
        database = direct.url.get_backend_name()
        return cls(url, folder, direct, nursery=nursery, board=board, database=database)

    @property
    def notes(self) -> Path:
        """Where handlers and crash points write."""
        return self.folder / "notes"

    def environment(self, crash: CrashPoint | None = None) -> dict[str, str]:
        """What a process of this stage needs to know."""
        found = {
            **QUICK,
            "CELERS_DATABASE_URL": self.address or self.url,
            "CELERS_DATABASE_CALL_TIMEOUT": "3s",
            "CELERS_DATABASE_CONNECT_TIMEOUT": "2s",
            # Where workers die all the time, three of them die with one task by chance.
            "CELERS_WORKER_MAX_CRASHES": "20",
            NOTES: str(self.notes),
        }
        return found if crash is None else {**found, VARIABLE: str(crash)}

    def hire(
        self,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        crash: CrashPoint | None = None,
        nursery: Nursery | None = None,
        limits: Mapping[int, int] | None = None,
    ) -> WorkerProcess:
        """Start a worker; *settings* go before those of the stage."""
        log_file = self.folder / f"worker-{len(self.workers)}.log"
        log_file.touch()
        child = (nursery or self.nursery).start(
            "celers_worker",
            ["worker", "-A", "tests.faults.handlers", "--log-format", "json", *arguments],
            environment={**self.environment(crash), **(settings or {})},
            log=log_file,
            limits=limits,
        )
        hired = WorkerProcess(child, log_file)  # type: ignore[arg-type]  # as good as a Popen
        self.workers.append(hired)
        return hired

    def run(self, program: str, *arguments: str, crash: CrashPoint | None = None) -> Child:
        """Start another program, ``celers_worker`` or one of the tests."""
        child = self.nursery.start(
            program,
            arguments,
            environment=self.environment(crash),
            log=self.folder / f"program-{len(self.others)}.log",
        )
        self.others.append(child)
        return child

    # --- producing, with accounts ---

    def producer(
        self, *, batches: int, size: int, pause: float = 0.1, crash: CrashPoint | None = None
    ) -> Child:
        """Start a producer process, whose accounts are in the notes."""
        arguments = (str(batches), str(size), str(pause))
        return self.run("tests.faults.producer", *arguments, crash=crash)

    def send(self, calls: Iterable[Call[Any]], *, into: set[UUID] | None = None) -> list[UUID]:
        """Enqueue, and keep account of what was answered. Raises StoreError when nothing was.

        *into*: an account of a certain kind of tasks, ``paid`` or ``narrow``.
        """
        made = [call.task for call in calls]
        ids = [task.id for task in made]
        self.sent.update(ids)
        if into is not None:
            into.update(ids)
        self.direct.enqueue(made)
        self.acknowledged.update(ids)
        return ids

    def try_to_send(self, calls: Sequence[Call[Any]]) -> bool:
        """``send``; whether it was acknowledged."""
        try:
            self.send(calls)
        except StoreError:
            return False
        return True

    # --- what has come of it ---

    def lines(self) -> list[str]:
        """The whole lines of the notes."""
        if not self.notes.exists():
            return []
        return self.notes.read_text().rpartition("\n")[0].splitlines()

    def runs(self) -> list[Run]:
        """What the handlers wrote."""
        return runs_of(self.lines())

    def crashes(self) -> int:
        """How often a crash point was reached."""
        return sum(line.startswith("crash") for line in self.lines())

    def completed(self) -> int:
        """How many tasks of the stage have completed."""
        return self.direct.run(_count_completed)

    def left(self) -> int:
        """How many tasks of the stage have not ended."""
        return self.direct.run(_count_live)

    def hold(self, worker: WorkerProcess) -> None:
        """SIGSTOP *worker*, but not while it writes to a file: that would hold up everybody."""
        self.frozen.add(worker.process.pid)
        self.freeze(worker)

    def finished(self, within: float = 2 * PATIENCE) -> None:
        """Wait until no task is left, with as many workers as there are.

        *within* is for half of those that are left, and again for half of the rest.
        """
        while left := self.left():
            eventually_sync(lambda half=left // 2: self.left() <= half, within=within)

    def settle_up(self, within: float = 2 * PATIENCE) -> Verdict:
        """Let a healthy worker finish what is left, and judge. Raises AssertionError."""
        if self.left():
            self.hire("--concurrency", "20")
        self.finished(within)
        return self.judged()

    def judged(self) -> Verdict:
        """End the workers, and hold what happened to the promises."""
        self.dismiss()
        for line in self.lines():
            what, *ids = line.split()
            if what in ("sent", "acknowledged"):
                accounts = self.sent if what == "sent" else self.acknowledged
                accounts.update(map(UUID, ids))
        # To read a hundred thousand rows takes longer than a producer waits.
        here = self.direct.url.render_as_string(hide_password=False)
        with make_direct_store(here, _PATIENT) as patient:
            found = patient.run(recorded, QUEUE)
        evidence = Evidence(
            recorded=found,
            runs=self.runs(),
            acknowledged=frozenset(self.acknowledged),
            sent=frozenset(self.sent),
            effects=self.direct.run(_effects),
            paid=frozenset(self.paid),
            narrow=frozenset(self.narrow),
            frozen=frozenset(self.frozen),
        )
        verdict = judge(evidence)
        self.board.judged(self.database, verdict)
        assert verdict.problems == [], "\n".join(verdict.problems[:20])
        states = Counter(str(state) for state, _, _ in found.now.values())
        assert verdict.completed == len(found.now), states
        return verdict

    def dismiss(self, within: float = 30) -> None:
        """Let every worker stop in good order."""
        living = [worker for worker in self.workers if worker.process.poll() is None]
        for worker in living:
            worker.process.send_signal(signal.SIGCONT)
            worker.process.send_signal(signal.SIGTERM)
        for worker in living:
            try:
                worker.process.wait(within)
            except subprocess.TimeoutExpired:
                raise AssertionError(
                    f"a worker did not stop within {within:g} s: {worker.log[-5:]}"
                ) from None

    def close(self) -> None:
        """Leave no process behind."""
        self.closed = True
        for process in (*(worker.process for worker in self.workers), *self.others):
            process.kill()
        self.direct.close()


def _make_effects(transaction: Transaction) -> None:
    transaction.connection.execute(
        text("CREATE TABLE faults_effects (task_id VARCHAR(36) NOT NULL, lease INTEGER NOT NULL)")
    )


def _effects(transaction: Transaction) -> Counter[UUID]:
    rows = transaction.connection.execute(text("SELECT task_id FROM faults_effects"))
    return Counter(UUID(row[0]) for row in rows)


def _count_live(transaction: Transaction) -> int:
    found = transaction.connection.execute(text("SELECT count(*) FROM celers_tasks"))
    return int(found.scalar_one())


def _count_completed(transaction: Transaction) -> int:
    found = transaction.connection.execute(text("SELECT count(*) FROM celers_task_archive"))
    return int(found.scalar_one())
