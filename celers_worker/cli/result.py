"""``celers task result``: what a task returned, or why it failed; waited for, printed, deleted."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli import task_view
from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.batches import waiting
from celers_worker.cli.choosing import DURATION, TASK_ID
from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import format_option, on_terminal, say, show_document
from celers_worker.core.duration import LONGEST, format_duration
from celers_worker.core.errors import ConfigurationError, ResultTimeout, TaskNotFound
from celers_worker.core.task import LIVE, TaskState

if TYPE_CHECKING:
    from celers_worker.app import Celers
    from celers_worker.app.ended import TaskStatus
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.results import Ending

#: How often a person who waits is told where the task is, in seconds.
_LOOK = 1.0


@click.command("result")
@click.argument("task_id", metavar="ID", type=TASK_ID)
@click.option("--wait", is_flag=True, help="Until the task has ended.")
@click.option("--timeout", type=DURATION, metavar="DURATION", help="Wait no longer than this.")
@click.option("--delete", is_flag=True, help="Delete the result; the task itself stays.")
@dry_run_option
@yes_option
@format_option
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    task_id: UUID,
    wait: bool,
    timeout: timedelta | None,
    delete: bool,
    dry_run: bool,
    yes: bool,
    style: str,
) -> None:
    """Print what a task returned.

    It is a failure if the task did not complete. The result is JSON. As json it comes with the
    state, the runtime and the error.
    """
    if delete and wait:
        raise ConfigurationError("--delete and --wait do not go together: choose one.")
    if timeout is not None and not wait:
        raise ConfigurationError("--timeout is for --wait.")
    if (dry_run or yes) and not delete:
        raise ConfigurationError("--dry-run and --yes are for --delete.")
    if wait:
        wait_for(invocation, task_id, LONGEST if timeout is None else timeout)
    with invocation.store() as store:
        if delete:
            _delete(store, task_id, dry_run=dry_run, yes=yes)
        else:
            _show(task_id, _ending(store, task_id), style)


def wait_for(invocation: Invocation, task_id: UUID, timeout: timedelta) -> TaskStatus:
    """Wait until a task has ended; on a terminal it is seen how it is. Raises ResultTimeout."""
    from celers_worker.app import Celers

    app = Celers()
    app.client.config = invocation.config()
    try:
        if on_terminal():
            return _watched(app, task_id, timeout)
        return _ended(app, task_id, timeout)
    finally:
        app.close_sync()


def _ended(app: Celers, task_id: UUID, timeout: timedelta) -> TaskStatus:
    with closing(app.wait_for_sync([task_id], timeout)) as statuses:
        return next(statuses)


def _watched(app: Celers, task_id: UUID, timeout: timedelta) -> TaskStatus:
    """``_ended``, telling once a second where the task is."""
    from celers_worker.store.progress import progress_of

    end = time.monotonic() + timeout.total_seconds()
    with waiting(f"Waiting for {task_id}") as tell:
        left = timeout.total_seconds()
        while True:
            with suppress(ResultTimeout):
                return _ended(app, task_id, timedelta(seconds=min(left, _LOOK)))
            if (left := max(end - time.monotonic(), 0.0)) == 0:
                break
            [status] = app.check_status_sync([task_id]).values()
            told = app.client.direct().run(progress_of, task_id)
            tell(str(status.state if told is None else told.progress))
    raise ResultTimeout(
        f"task {task_id} has not ended after {format_duration(timeout)}; it goes on.",
        ids=[task_id],
    )


def _ending(store: DirectStore, task_id: UUID) -> Ending:
    from celers_worker.store.results import ending_of

    ending = store.run(ending_of, task_id)
    if ending is None:
        raise TaskNotFound(task_view.unknown(task_id))
    return ending


def _show(task_id: UUID, ending: Ending, style: str) -> None:
    if style == "json":
        show_document(document(task_id, ending))
    if ending.state in LIVE:
        raise Failed(f"task {task_id} is still {ending.state}. Wait for it: --wait")
    if ending.state is not TaskState.COMPLETED:
        raise Failed(f"task {task_id} {ending.state}: {ending.error or 'no reason is known'}")
    if style == "json":
        return
    if ending.codec is None:
        show_document(ending.value)
    else:
        # As it is, for a pipe; nobody but its handler knows what it means.
        click.echo(ending.result or b"", nl=False)


def document(task_id: UUID, ending: Ending) -> dict[str, Any]:
    """A result for programs; the keys are part of the interface."""
    is_json = ending.codec is None
    return {
        "id": task_id,
        "name": ending.name,
        "state": ending.state.value,
        "runtime": ending.runtime,
        "value": ending.value if is_json else None,
        # What is not JSON travels as base64.
        "value_bytes": None if is_json else ending.result,
        "codec": ending.codec,
        "error": ending.error,
        "error_type": ending.error_type,
        "error_data": task_view.error_data(ending),
        "traceback": ending.traceback,
    }


def _delete(store: DirectStore, task_id: UUID, *, dry_run: bool, yes: bool) -> None:
    from celers_worker.store.results import forget, is_kept

    _ending(store, task_id)
    if not store.run(is_kept, task_id):
        say(f"{task_id} has no result that is kept: nothing to delete.")
    elif dry_run:
        say(f"would delete the result of {task_id}.")
    else:
        confirm(f"Delete the result of {task_id}?", yes=yes)
        store.run(forget, [task_id])
        say(f"deleted the result of {task_id}.")
