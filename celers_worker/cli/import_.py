"""``celers import``: read an export back, into any database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from celers_worker.cli.asking import dry_run_option
from celers_worker.cli.batches import Brake, progress
from celers_worker.cli.failure import Interrupted, warn
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.moving import counted, file_argument, only_option, tell_rest
from celers_worker.cli.output import say

if TYPE_CHECKING:
    from celers_worker.moving.importing import ImportOptions, Tally
    from celers_worker.moving.reading import ExportReader
    from celers_worker.store import DirectStore

as_pending_option = click.option(
    "--as-pending",
    is_flag=True,
    help="Dead, cancelled and expired tasks come in pending, with all their attempts.",
)
partial_option = click.option(
    "--partial", is_flag=True, help="Of a damaged file, take what is valid up to the fault."
)


@click.command("import")
@file_argument
@click.option(
    "--on-conflict",
    type=click.Choice(["skip", "replace", "fail"]),
    default="skip",
    show_default=True,
    help="What to do with a row that is there already.",
)
@as_pending_option
@only_option
@partial_option
@dry_run_option
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    file: str,
    on_conflict: str,
    as_pending: bool,
    only: tuple[str, ...],
    partial: bool,
    dry_run: bool,
) -> None:
    """Read an export back.

    The whole file is checked before anything is written. Twice the same file adds nothing; if it
    is interrupted, run it again for the rest. Tasks that ran come in pending.
    """
    from celers_worker.moving.files import opened
    from celers_worker.moving.importing import ImportOptions
    from celers_worker.moving.reading import ExportReader
    from celers_worker.store.moving.arrival import Conflict

    options = ImportOptions(
        conflict=Conflict(on_conflict),
        as_pending=as_pending,
        only=only,
        dry_run=dry_run,
        partial=partial,
    )
    with opened(file) as stream:
        reader = ExportReader(stream, "standard input" if file == "-" else file)
        total = 0 if partial else sum(reader.verify().rows.values())
        with invocation.patient_store() as store:
            tally = load_with_progress(store, reader, options, total=total, words="Importing")
    if not tally.finished:
        raise Interrupted(f"imported {counted(tally.added)}. Run it again for the rest.")
    tell(tally, dry_run=dry_run, done="imported", would="would import")


def load_with_progress(
    store: DirectStore, reader: ExportReader, options: ImportOptions, *, total: int, words: str
) -> Tally:
    """Load the rows of *reader*, until Ctrl-C ends it between two commits."""
    from celers_worker.moving.importing import import_rows

    with Brake() as brake, progress(words, total) as advance:
        return import_rows(store, reader, options, advance=advance, stop=lambda: brake.pulled)


def tell(tally: Tally, *, dry_run: bool, done: str, would: str) -> None:
    """Say what became of the rows, and what is wrong with the file if it was taken in part."""
    say(f"{would if dry_run else done} {counted(tally.added)}.")
    tell_rest(tally)
    if tally.fault:
        warn(f"only in part: {tally.fault}")
