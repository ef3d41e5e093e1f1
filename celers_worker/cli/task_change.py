"""``celers task update``, ``reschedule``, ``move`` and ``reprioritise``: change tasks that wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.batches import in_batches
from celers_worker.cli.choosing import (
    DURATION,
    INSTANT,
    PAIR,
    QUEUE,
    TASK_ID,
    common_filters,
    filter_of,
    require_choice,
    unknown,
)
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import count, say
from celers_worker.core.changes import CHANGEABLE, Changes
from celers_worker.core.errors import ConfigurationError, PayloadError

if TYPE_CHECKING:
    from celers_worker.store.inspect import TaskFilter

_ids = click.argument("ids", metavar="ID...", nargs=-1, type=TASK_ID, required=True)
_some = click.argument("ids", metavar="[ID]...", nargs=-1, type=TASK_ID)


@click.command("update")
@_ids
@click.option("--priority", type=int, metavar="N", help="Higher runs first.")
@click.option("--queue", type=QUEUE, help="Move it to this queue.")
@click.option("--max-retries", type=int, metavar="N", help="Runs after the first.")
@click.option(
    "--metadata",
    multiple=True,
    type=PAIR,
    metavar="KEY=VALUE",
    help="Set a key of its metadata, to JSON or text; null removes it; repeatable.",
)
@dry_run_option
@click.pass_obj
def update(
    invocation: Invocation,
    ids: tuple[UUID, ...],
    priority: int | None,
    queue: str | None,
    max_retries: int | None,
    metadata: tuple[tuple[str, str], ...],
    dry_run: bool,
) -> None:
    """Change tasks that wait.

    A task that runs or has ended is left alone.
    """
    changes = Changes(
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        metadata={key: _value(text) for key, text in metadata} or None,
    )
    _change_each(invocation, ids, changes, dry_run=dry_run, verb="updated")


@click.command("reschedule")
@_ids
@click.option("--at", type=INSTANT, metavar="INSTANT", help="Due then: 2030-01-31T08:00:00Z.")
@click.option("--delay", type=DURATION, metavar="DURATION", help="Due so long from now.")
@dry_run_option
@click.pass_obj
def reschedule(
    invocation: Invocation,
    ids: tuple[UUID, ...],
    at: datetime | None,
    delay: timedelta | None,
    dry_run: bool,
) -> None:
    """Change when tasks that wait are due.

    A task that runs or has ended is left alone.
    """
    if at is None and delay is None:
        raise ConfigurationError("when are they due? Give --at or --delay.")
    changes = Changes(at=at, delay=delay)
    _change_each(invocation, ids, changes, dry_run=dry_run, verb="rescheduled")


@click.command("move")
@_some
@common_filters
@click.option("--to", "target", type=QUEUE, required=True, help="The queue to move them to.")
@dry_run_option
@yes_option
@click.pass_obj
def move(
    invocation: Invocation,
    /,
    ids: tuple[UUID, ...],
    target: str,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Move tasks that wait to another queue, by id or by filters."""
    if chosen["queue"] == target:
        raise ConfigurationError(f"--queue and --to both name {target!r}: nothing would move.")
    require_choice(chosen, ids, everything=None, verb="move")
    _change_many(
        invocation,
        filter_of(chosen, ids=ids, states=CHANGEABLE),
        Changes(queue=target),
        words=("move", "moved", f" to {target}"),
        dry_run=dry_run,
        yes=yes or bool(ids),
    )


@click.command("reprioritise")
@_some
@common_filters
@click.option("--priority", type=int, metavar="N", required=True, help="Higher runs first.")
@dry_run_option
@yes_option
@click.pass_obj
def reprioritise(
    invocation: Invocation,
    /,
    ids: tuple[UUID, ...],
    priority: int,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Give tasks that wait another priority, by id or by filters."""
    require_choice(chosen, ids, everything=None, verb="reprioritise")
    _change_many(
        invocation,
        filter_of(chosen, ids=ids, states=CHANGEABLE),
        Changes(priority=priority),
        words=("give", "gave", f" the priority {priority}"),
        dry_run=dry_run,
        yes=yes or bool(ids),
    )


def _change_each(
    invocation: Invocation, ids: Sequence[UUID], changes: Changes, *, dry_run: bool, verb: str
) -> None:
    from celers_worker.store import change, inspect

    problems: list[str] = []
    with invocation.store() as store:
        for task_id in dict.fromkeys(ids):
            if dry_run:
                view = store.run(inspect.task, task_id)
                state = None if view is None else view.state
            else:
                state = store.run(change.change, task_id, changes)
            if state is None:
                problems.append(unknown(task_id))
            elif state in CHANGEABLE:
                say(f"{task_id} {'would be' if dry_run else 'is'} {verb}.")
            else:
                problems.append(f"{task_id} is {state}: it was left alone.")
    if problems:
        raise Failed(*problems)


def _change_many(
    invocation: Invocation,
    wanted: TaskFilter,
    changes: Changes,
    *,
    words: tuple[str, str, str],
    dry_run: bool,
    yes: bool,
) -> None:
    """Change all that *wanted* means; *words* are the verb, its past, the rest."""
    from celers_worker.store import change, inspect

    verb, past, rest = words
    with invocation.store() as store:
        total = store.run(inspect.count_tasks, wanted)
        if dry_run:
            say(f"would {verb} {count(total, 'waiting task')}{rest}.")
            return
        if not total:
            if wanted.ids:
                raise Failed(f"none of these tasks waits: nothing to {verb}.")
            say(f"no waiting task matches: nothing to {verb}.")
            return
        # It can be undone, so a script need not confirm it.
        question = f"{verb.capitalize()} {count(total, 'waiting task')}{rest}?"
        confirm(question, yes=yes, required=False)
        done = 0
        last: UUID | None = None

        def step(limit: int) -> int:
            nonlocal done, last
            batch = store.run(change.change_many, wanted, changes, limit=limit, after=last)
            done += len(batch)
            last = batch[-1] if batch else last
            return len(batch)

        finished = in_batches(step, total=total, words="Changing")
    told = f"{past} {count(done, 'task')}{rest}"
    if not finished:
        raise Interrupted(f"{told}; the others are as they were. Run it again to go on.")
    say(f"{told}.")


def _value(text: str) -> Any:
    from celers_worker.core.payload import decode

    try:
        return decode(text)
    except (PayloadError, UnicodeError):
        return text
