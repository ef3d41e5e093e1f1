"""``celers restore``: bring a backup back into an empty database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.import_ import as_pending_option, load_with_progress, tell
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.moving import counted, only_option
from celers_worker.cli.output import age, count, note
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.moving.reading import Verified
    from celers_worker.store import DirectStore


@click.command("restore")
@click.argument("place", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option(
    "--merge",
    is_flag=True,
    help="Also into a database that is not empty, or to finish a restore that was interrupted.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["skip", "replace", "fail"]),
    help="With --merge: what to do with a row that is there already; else skip.",
)
@as_pending_option
@click.option(
    "--paused", is_flag=True, help="Pause the queues of waiting tasks: celers queue resume NAME"
)
@only_option
@dry_run_option
@yes_option
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    place: Path,
    merge: bool,
    on_conflict: str | None,
    as_pending: bool,
    paused: bool,
    only: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Bring a backup back, of DIR the newest, into an empty database.

    The whole file is checked before anything is written. Tasks that ran come in pending.
    """
    from celers_worker.moving.backups import newest
    from celers_worker.moving.importing import ImportOptions
    from celers_worker.moving.reading import ExportReader
    from celers_worker.store.moving.arrival import Conflict

    if on_conflict is not None and not merge:
        raise ConfigurationError(
            "--on-conflict goes with --merge: in an empty database there are no conflicts."
        )
    options = ImportOptions(
        conflict=Conflict(on_conflict or "skip"), as_pending=as_pending, only=only, dry_run=dry_run
    )
    path = newest(place)
    with path.open("rb") as stream, invocation.patient_store() as store:
        reader = ExportReader(stream, str(path))
        verified = reader.verify()
        _require_empty(store, merge=merge)
        if not dry_run:
            confirm(_question(path, verified, store), yes=yes)
            if paused:
                _pause(store, verified.queues)
        total = sum(verified.rows.values())
        tally = load_with_progress(store, reader, options, total=total, words="Restoring")
    if not tally.finished:
        raise Interrupted(
            f"restored {counted(tally.added)}. For the rest, run it again with --merge."
        )
    tell(tally, dry_run=dry_run, done="restored", would="would restore")


def _require_empty(store: DirectStore, *, merge: bool) -> None:
    from celers_worker.moving.exporting import counted as count_rows
    from celers_worker.store.moving.selection import EVERYTHING

    if merge:
        return
    there = counted(count_rows(store, EVERYTHING))
    if there != "nothing":
        raise Failed(
            f"{store.name} is not empty: it has {there}. Restore into an empty database; or keep "
            "what is there and add the rest: --merge"
        )


def _question(path: Path, verified: Verified, store: DirectStore) -> str:
    header = verified.header
    return (
        f"Restore {counted(verified.rows)} of {header.database} at {header.at:%F %T} UTC "
        f"({age(header.at)}) from {path.name} into {store.name}?"
    )


def _pause(store: DirectStore, queues: frozenset[str]) -> None:
    from celers_worker.store import control

    named = sorted(queue for queue in queues if queue)
    for queue in named:
        store.run(control.pause, queue, "restored from a backup")
    note(f"paused {count(len(named), 'queue')}: {', '.join(named) or 'none has waiting tasks'}.")
