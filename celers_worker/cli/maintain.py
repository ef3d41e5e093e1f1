"""``celers maintain``: archive, recover, purge; vacuum, optimize, analyze; sizes and partitions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.batches import in_batches
from celers_worker.cli.choosing import DURATION, common_filters, filter_of
from celers_worker.cli.failure import Interrupted
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.maintain_view import show_duties, show_partitions, show_sizes
from celers_worker.cli.output import count, format_option, note, say
from celers_worker.cli.program import Family
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.pace import Pace
from celers_worker.core.task import ARCHIVED, TaskState

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore

#: To rebuild a large table takes its time, and nothing waits for this command.
_PATIENT = timedelta(hours=6)
_ENDED = click.Choice(sorted(state.value for state in {*ARCHIVED, TaskState.FAILED}))


@click.group("maintain", cls=Family)
def command() -> None:
    """Archive, recover and purge tasks; vacuum, optimize and analyze tables; show sizes.

    A worker does what is needed by itself: see `celers maintain status`.
    """


@command.command("archive")
@click.option("--older-than", type=DURATION, metavar="DURATION", help="Ended so long ago.")
@dry_run_option
@click.pass_obj
def archive(invocation: Invocation, older_than: timedelta | None, dry_run: bool) -> None:
    """Move tasks that foreign workers finished to the archive.

    What our workers finish goes there at once. Every row is kept; dead ones go to the dead letter
    queue. Without --older-than, maintenance.archive_after says how old.
    """
    from celers_worker.store import housekeeping

    age = invocation.config().maintenance.archive_after if older_than is None else older_than
    with invocation.store() as store:
        total = store.run(housekeeping.count_ended, age)
        if dry_run:
            say(f"would archive {count(total, 'task')}.")
            return
        done = _work(
            lambda limit: store.run(housekeeping.archive_ended, age, limit=limit),
            total=total,
            words="Archiving",
            told="archived {}",
        )
    say(f"archived {count(done, 'task')}.")


@command.command("recover")
@click.option(
    "--older-than",
    type=DURATION,
    metavar="DURATION",
    help="Running for so long without naming a worker; else maintenance.stuck_after.",
)
@dry_run_option
@click.pass_obj
def recover(invocation: Invocation, older_than: timedelta | None, dry_run: bool) -> None:
    """Take back the tasks of workers that are gone.

    Those whose worker's lease ran out, and those that a foreign worker took long ago. Each has its
    crash counted; one that has crashed too often goes to the dead letter queue. Tasks of live
    workers are never touched.
    """
    from celers_worker.store import maintenance

    config = invocation.config()
    stuck = config.maintenance.stuck_after if older_than is None else older_than
    with invocation.store() as store:
        total = store.run(maintenance.count_orphans, stuck=stuck)
        if dry_run:
            say(f"would take back {count(total, 'task')}.")
            return
        released = buried = 0

        def step(limit: int) -> int:
            nonlocal released, buried
            reaped = store.run(
                maintenance.reap,
                max_crashes=config.worker.max_crashes,
                orphans=True,
                stuck=stuck,
                limit=limit,
            )
            released += len(reaped.released)
            buried += len(reaped.buried)
            return len(reaped.released) + len(reaped.buried)

        _work(step, total=total, words="Taking back", told="took back {}")
    dead = f", {buried:,} of them to the dead letter queue" if buried else ""
    say(f"took back {count(released + buried, 'task')}{dead}.")


@command.command("purge")
@click.option(
    "-s", "--state", "states", multiple=True, type=_ENDED, help="Only in this state; repeatable."
)
@common_filters
@dry_run_option
@yes_option
@click.pass_obj
def purge(invocation: Invocation, /, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Delete tasks that have ended, for good, with their results.

    Live ones are left: cancel them first. The janitor deletes what is past its retention.
    """
    if not any(value not in (None, ()) for value in chosen.values()):
        raise ConfigurationError(
            "which tasks to purge? Give --state, --queue, --name, --older-than or another filter."
        )
    from celers_worker.store import housekeeping

    wanted = filter_of(chosen)
    with invocation.store() as store:
        total = store.run(housekeeping.count_purged, wanted)
        if dry_run:
            say(f"would delete {count(total, 'task')} for good.")
            return
        if not total:
            say("no task that has ended matches: nothing to do.")
            return
        confirm(f"Delete {count(total, 'task')} for good?", yes=yes)
        done = _work(
            lambda limit: store.run(housekeeping.purge, wanted, limit=limit),
            total=total,
            words="Deleting",
            told="deleted {}",
        )
    say(f"deleted {count(done, 'task')}.")


@command.command("vacuum")
@dry_run_option
@click.pass_obj
def vacuum(invocation: Invocation, dry_run: bool) -> None:
    """Give back the room of deleted rows.

    VACUUM on PostgreSQL and SQLite, OPTIMIZE TABLE on MySQL. SQLite and MySQL rewrite the tables,
    and workers wait meanwhile.
    """
    _tune(invocation, "vacuum", dry_run=dry_run)


@command.command("optimize")
@dry_run_option
@click.pass_obj
def optimize(invocation: Invocation, dry_run: bool) -> None:
    """Bring tables and statistics into order.

    VACUUM ANALYZE on PostgreSQL, OPTIMIZE TABLE on MySQL, PRAGMA optimize on SQLite.
    """
    _tune(invocation, "optimize", dry_run=dry_run)


@command.command("analyze")
@dry_run_option
@click.pass_obj
def analyze(invocation: Invocation, dry_run: bool) -> None:
    """Count the tables anew for the database's planner."""
    _tune(invocation, "analyze", dry_run=dry_run)


@command.command("sizes")
@format_option
@click.pass_obj
def sizes(invocation: Invocation, style: str) -> None:
    """Show how large the tables are, by the database's own account."""
    from celers_worker.store import sizes as told

    with _patient(invocation) as store:
        show_sizes(store.run(told.sizes), style)


@command.command("partitions")
@format_option
@click.pass_obj
def partitions(invocation: Invocation, style: str) -> None:
    """Show the archive's partitions.

    And when the janitor drops each.
    """
    from celers_worker.core.retention import longest
    from celers_worker.store import sizes as told

    config = invocation.config()
    kept = {state.value: getattr(config.retention, state.value) for state in ARCHIVED}
    with invocation.store() as store:
        found = store.run(told.partitions, longest(kept, config.retention_by_queue))
    show_partitions(found, style)


@command.command("status")
@format_option
@click.pass_obj
def status(invocation: Invocation, style: str) -> None:
    """Show which worker does the upkeep.

    And when each of its duties was done and is due.
    """
    from celers_worker.store import upkeep

    with invocation.store() as store:
        show_duties(store.run(upkeep.duties), style)


def _tune(invocation: Invocation, verb: str, *, dry_run: bool) -> None:
    from celers_worker.store import tuning

    wanted = tuning.Tuning(verb)
    with _patient(invocation) as store:
        if dry_run:
            for step in tuning.steps(store, wanted):
                say(f"would run: {step.statement}")
            return
        began = time.monotonic()
        done = 0
        for step in tuning.tune(store, wanted):
            done += 1
            note(f"{step.statement}: done after {time.monotonic() - began:.1f} s")
    say(f"{verb}: {count(done, 'statement')} done.")


def _work(step: Callable[[int], int], *, total: int, words: str, told: str) -> int:
    """Call *step* in batches that shrink when they take long; how many it dealt with."""
    pace = Pace()
    done = 0

    def paced(limit: int) -> int:
        nonlocal done
        began = time.monotonic()
        batch = step(min(limit, pace.size))
        pace.took(time.monotonic() - began)
        done += batch
        return batch

    if not in_batches(paced, total=total, words=words):
        raise Interrupted(f"{told.format(count(done, 'task'))}; the others are as they were.")
    return done


@contextmanager
def _patient(invocation: Invocation) -> Iterator[DirectStore]:
    """The store, with time for what takes long."""
    from msgspec.structs import replace

    config = invocation.config()
    database = replace(config.database, call_timeout=_PATIENT)
    with invocation.store(replace(config, database=database)) as store:
        yield store
