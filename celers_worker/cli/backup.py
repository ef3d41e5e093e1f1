"""``celers backup``: write a backup, list and verify them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.asking import dry_run_option
from celers_worker.cli.batches import progress
from celers_worker.cli.choosing import DURATION
from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.moving import counted, selection_of, selection_options
from celers_worker.cli.output import (
    Column,
    age,
    count,
    format_option,
    note,
    on_terminal,
    say,
    show_document,
    show_table,
)
from celers_worker.cli.program import Family
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.moving.reading import Verified

_COLUMNS = (
    Column("BACKUP", cut=True),
    Column("DATABASE"),
    Column("AT"),
    Column("AGE", right=True),
    Column("BYTES", right=True),
)
_PATH = click.Path(path_type=Path)


class _Backups(Family):
    """What is no command is where to write a backup."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read ``celers backup DIR`` as ``celers backup create DIR``."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group("backup", cls=_Backups)
def command() -> None:
    """Write, list and verify backups.

    `celers backup DIR` writes one; bring it back with: celers restore
    """


@command.command("create")
@click.argument("place", metavar="DIR|FILE", type=_PATH)
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="Then delete older ones of this database in DIR, so that N are left.",
)
@click.option("--verify", "again", is_flag=True, help="Read it back before older ones are deleted.")
@dry_run_option
@selection_options
@click.pass_obj
def create(
    invocation: Invocation,
    /,
    place: Path,
    keep: int | None,
    again: bool,
    dry_run: bool,
    **chosen: Any,
) -> None:
    """Write a backup: a compressed export with a checksum.

    All rows are of one moment, while workers and producers go on. In DIR its name is that of the
    database and the time.
    """
    from celers_worker.moving import backups, exporting

    wanted = selection_of(chosen)
    if keep is not None and not place.is_dir():
        raise ConfigurationError(f"--keep is for a directory of backups, and {place} is none.")
    with invocation.patient_store() as store:
        if dry_run:
            say(f"would back up {counted(exporting.counted(store, wanted))} to {place}.")
            for older in backups.outdated(store, place, keep=keep) if keep is not None else ():
                say(f"would delete {older}.")
            return
        total = sum(exporting.counted(store, wanted).values()) if on_terminal() else 0
        with progress("Backing up", total) as advance:
            path, rows = backups.backup(store, place, wanted, advance=advance)
    if again:
        _verified(path)
    deleted = backups.rotate(path, keep=keep) if keep is not None else []
    say(str(path))
    note(f"backed up {counted(rows)}.")
    if deleted:
        note(f"deleted {count(len(deleted), 'older backup')}.")


@command.command("list")
@click.argument("directory", metavar="DIR", type=_PATH)
@format_option
def list_(directory: Path, style: str) -> None:
    """List the backups in a directory, the newest first."""
    from celers_worker.moving import backups

    found = backups.list_backups(directory)
    if style == "json":
        show_document(
            [
                {
                    "path": str(one.path),
                    "database": one.database,
                    "at": one.at,
                    "bytes": one.bytes,
                }
                for one in found
            ]
        )
    elif found:
        show_table(
            _COLUMNS,
            [
                (one.path.name, one.database, f"{one.at:%F %T}", age(one.at), f"{one.bytes:,}")
                for one in found
            ],
        )
    else:
        note(f"There is no backup in {directory}.")


@command.command("verify")
@click.argument("place", metavar="FILE|DIR", type=_PATH)
@click.option(
    "--max-age", type=DURATION, metavar="DURATION", help="Older than this is wrong too: 26h."
)
@format_option
def verify(place: Path, max_age: timedelta | None, style: str) -> None:
    """Read a backup to its end, and compare its counts and its checksum.

    Of a directory it is the newest. The exit code is 0 only if all is well: for cron.
    """
    from celers_worker.moving import backups

    path = backups.newest(place)
    verified = _verified(path)
    header = verified.header
    if max_age is not None and datetime.now(UTC) - header.at > max_age:
        raise Failed(f"{path} is whole, but of {header.at:%F %T} UTC: {age(header.at)}.")
    if style == "json":
        show_document(
            {
                "path": str(path),
                "at": header.at,
                "database": header.database,
                "server": header.server,
                "revision": header.revision,
                "version": header.version,
                "rows": verified.rows,
                "sha256": verified.sha256,
            }
        )
        return
    say(
        f"{path} is whole: {counted(verified.rows)} of {header.database} "
        f"at {header.at:%F %T} UTC ({age(header.at)})."
    )


def _verified(path: Path) -> Verified:
    from celers_worker.moving.reading import ExportReader

    with path.open("rb") as stream:
        return ExportReader(stream, str(path)).verify()
