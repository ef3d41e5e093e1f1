"""``celers export``: tasks and what belongs to them as JSON Lines, as they are at one moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.batches import progress
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.moving import counted, selection_of, selection_options
from celers_worker.cli.output import note, on_terminal
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.store import DirectStore
    from celers_worker.store.moving.selection import Selection


@click.command("export")
@click.option("-o", "--output", metavar="FILE|-", default="-", help="Else standard output.")
@click.option(
    "--gzip/--no-gzip", "compressed", default=None, help="Else by the name: FILE.gz is compressed."
)
@selection_options
@click.pass_obj
def command(invocation: Invocation, /, output: str, compressed: bool | None, **chosen: Any) -> None:
    """Write tasks and what belongs to them as JSON Lines.

    All rows are of one moment, while workers and producers go on. With a filter, only tasks and
    what belongs to them are written. Read it back with: celers import
    """
    from celers_worker.moving.exporting import export
    from celers_worker.moving.files import STANDARD, written_whole

    wanted = selection_of(chosen)
    if compressed is None:
        compressed = output.endswith(".gz")
    if output == STANDARD and compressed and sys.stdout.isatty():
        raise ConfigurationError("compressed bytes are not for a terminal: --output FILE")
    with invocation.patient_store() as store:
        with progress("Exporting", _total(store, wanted, output)) as advance:
            if output == STANDARD:
                out = sys.stdout.buffer
                rows = export(store, out, wanted, compressed=compressed, advance=advance)
                out.flush()
            else:
                with written_whole(Path(output)) as file:
                    rows = export(store, file, wanted, compressed=compressed, advance=advance)
        note(f"exported {counted(rows)}.")


def _total(store: DirectStore, wanted: Selection, output: str) -> int:
    """How much there is, if somebody watches: it takes time to count."""
    from celers_worker.moving.exporting import counted as count_rows

    watched = on_terminal() and not (output == "-" and sys.stdout.isatty())
    return sum(count_rows(store, wanted).values()) if watched else 0
