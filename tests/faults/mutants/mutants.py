"""Workers that are broken on purpose, each in one place, and the test that notices.

They exist only in the process of a test that asks for one by ``$CELERS_MUTANT``; see breeding.py.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.types import Integer

from celers_worker.core.errors import Unavailable
from celers_worker.core.outcome import NOTHING, Settlement
from celers_worker.services import (
    children,
    heartbeat,
    isolation,
    permits,
    poller,
    runner,
    settler,
)
from celers_worker.services import watchdog as watchdogs
from celers_worker.store import lease_statements, maintenance, settling, statements
from celers_worker.store.schema import tasks
from celers_worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Mutant:
    """A worker without one of its promises: *breaks* takes it away, *caught_by* is the test."""

    breaks: Callable[[], None]
    caught_by: str
    database: str = "sqlite"


MUTANTS: dict[str, Mutant] = {}


def mutant(
    caught_by: str, database: str = "sqlite"
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def add(breaks: Callable[[], None]) -> Callable[[], None]:
        MUTANTS[breaks.__name__] = Mutant(breaks, caught_by, database)
        return breaks

    return add


@mutant(
    "tests/store/test_settle.py::test_a_settle_from_an_older_lease_does_not_touch_the_newer_run"
)
def no_fence() -> None:
    """An outcome is written whatever its lease."""
    write = settling.Settling.write

    def unfenced(self: Any, settlements: Sequence[Settlement], *, keep_completed: bool) -> Any:
        ids = [one.task.id for one in settlements]
        held = self._transaction.connection.execute(statements.HELD, {"ids": ids})
        leases = {row.id: row.lease for row in held}
        forged = [
            Settlement(
                msgspec.structs.replace(one.task, lease=leases.get(one.task.id, one.task.lease)),
                one.outcome,
            )
            for one in settlements
        ]
        return write(self, forged, keep_completed=keep_completed)

    settling.Settling.write = unfenced


@mutant("tests/store/test_reap.py::test_a_live_workers_tasks_are_never_touched")
def rescue_without_asking_whether_the_worker_lives() -> None:
    """Tasks are taken back by their state alone, as by ids that were selected some time before."""
    lease_statements.ORPHANS = (
        select(*lease_statements._ORPHANED)
        .where(tasks.c.state == statements.PROCESSING, bindparam("stuck", type_=Integer) < 0)
        .limit(bindparam("room", type_=Integer))
    )


@mutant("tests/services/test_runner.py::test_an_exception_is_retried_after_the_handlers_backoff")
def acknowledged_before_the_run() -> None:
    """A task counts as done when its handler is called."""
    execute = runner.Runner._execute

    async def hasty(self: Any, run: Any) -> None:
        self._settle(run, NOTHING)
        await execute(self, run)

    runner.Runner._execute = hasty


@mutant("tests/services/test_permits.py::test_no_tier_is_ever_exceeded_and_all_permits_come_back")
def permits_that_leak() -> None:
    """A counter of permits that forgets one now and then."""
    give_back, count = permits.Permits.give_back, [0]

    def leaking(self: Any, task: Any) -> None:
        count[0] += 1
        if count[0] % 7:
            give_back(self, task)

    permits.Permits.give_back = leaking


@mutant(
    "tests/faults/test_draining.py::test_a_worker_that_drains_for_longer_than_its_lease_keeps_it"
)
def heartbeat_stopped_at_shutdown() -> None:
    """The heartbeat ends with the claims, not after the last run."""
    wind_down = Worker._wind_down

    async def early(self: Any, crew: Any) -> Any:
        await crew.heartbeat.stop()
        crew.watchdog.stop()
        return await wind_down(self, crew)

    Worker._wind_down = early


@mutant("tests/services/test_settler.py::test_an_outcome_is_kept_until_the_database_has_answered")
def outcomes_dropped_on_errors() -> None:
    """An outcome that could not be written is forgotten."""
    write = settler.Settler._write

    async def careless(self: Any, batch: Any) -> None:
        with contextlib.suppress(Unavailable):
            await write(self, batch)

    settler.Settler._write = careless


@mutant(
    "tests/services/test_heartbeat.py::"
    "test_a_worker_that_cannot_renew_stops_its_runs_before_its_lease_ends"
)
def leases_that_never_end_by_our_own_clock() -> None:
    """A worker that cannot reach the database goes on for ever."""
    heartbeat.Heartbeat._overdue = lambda self: None


@mutant("tests/store/test_unique.py::test_every_final_outcome_frees_the_key")
def unique_keys_not_freed() -> None:
    """The row of a task that ended stays, and with it its key."""
    statements.DELETE_TASKS = statements.DELETE_TASKS.where(tasks.c.unique_key.is_(None))


@mutant("tests/store/test_settle.py::test_a_released_task_keeps_its_place_and_its_attempt")
def releases_that_burn_an_attempt() -> None:
    """A task that was given back unrun counts as failed."""
    statements.RELEASE = statements.RELEASE.values(retry_count=tasks.c.retry_count + 1)


@mutant("tests/store/test_reap.py::test_a_task_that_keeps_killing_its_workers_is_poison")
def crashes_not_counted() -> None:
    """A task that kills its workers runs for ever."""
    statements.RELEASE_CRASHED = (
        update(tasks)
        .where(statements._BY_ID)
        .values(**statements._GIVEN_BACK, error_message=bindparam("message"))
    )


@mutant(
    "tests/services/test_isolation.py::"
    "test_a_suspect_runs_when_nothing_else_does_and_keeps_others_away"
)
def suspects_among_the_others() -> None:
    """A task that may have killed its workers runs beside innocent ones."""
    isolation.Isolation.suspects = lambda self, task: False


@mutant(
    "tests/store/test_reap.py::"
    "test_a_suspect_that_had_not_begun_is_not_blamed_for_the_end_of_its_worker"
)
def suspects_blamed_unbegun() -> None:
    """Whoever was near when a worker died is guilty of it."""
    maintenance._End.spares = lambda self, row: False


@mutant(
    "tests/services/test_poller.py::"
    "test_a_claim_whose_answer_was_lost_is_given_back_and_claimed_again",
    database="postgres",  # no answer is lost on the way to a file
)
def lost_answers_of_claims_ignored() -> None:
    """What a claim took whose answer never came stays with a worker that does not know of it."""

    async def nothing(self: Any) -> None:
        self._look_at = math.inf

    poller.Poller._recover = nothing


@mutant(
    "tests/services/test_watchdog.py::"
    "test_a_loop_that_is_blocked_keeps_its_lease_and_the_handler_is_named"
)
def no_renewal_beside_the_loop() -> None:
    """A handler that blocks the loop costs its worker the lease."""
    watchdogs.Watchdog._renew = lambda self, store: None


@mutant("tests/child/test_children.py::test_its_environment_holds_no_credentials")
def credentials_in_the_processes_of_handlers() -> None:
    """A handler's process sees all that its worker sees."""

    def whole(self: Any, environment: Mapping[str, str]) -> dict[str, str]:
        return dict(environment)

    children.Nursery.scrubbed = whole
