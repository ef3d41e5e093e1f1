"""``celers copy``: everything, or what is chosen, from one database to another of whatever kind."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.asking import confirm, dry_run_option, yes_option
from celers_worker.cli.batches import Brake, progress
from celers_worker.cli.failure import Failed, Interrupted
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.moving import counted, selection_of, selection_options, tell_rest
from celers_worker.cli.output import count, note, say
from celers_worker.core.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from celers_worker.moving.copying import Copied, Passage
    from celers_worker.store import DirectStore
    from celers_worker.store.moving.selection import Selection


@click.command("copy")
@click.option(
    "--to",
    metavar="URL",
    required=True,
    envvar="CELERS_TARGET_URL",
    help="The other database, which has our tables. A password is better kept in "
    "$CELERS_TARGET_URL: everybody can read the arguments of a process.",
)
@click.option("--move", is_flag=True, help="Delete at the source what the other has committed.")
@selection_options
@dry_run_option
@yes_option
@click.pass_obj
def command(
    invocation: Invocation, /, to: str, move: bool, dry_run: bool, yes: bool, **chosen: Any
) -> None:
    """Copy or move everything to another database.

    Run it again for what has come since, or if it was interrupted: nothing is doubled. While
    workers run at the source only history is taken along; stop them for the rest.
    """
    from celers_worker.moving.copying import plan

    wanted = selection_of(chosen)
    _check_url(to)
    with ExitStack() as stack:
        source = stack.enter_context(invocation.patient_store())
        try:
            target = stack.enter_context(invocation.patient_store(to))
        except SchemaError as error:
            raise SchemaError(f"--to: {error} (with --database and that URL)") from None
        passage = plan(source, target, wanted, moving=move and not dry_run)
        if not passage.parts:
            raise Failed(_left(source, passage))
        if move and not dry_run:
            confirm(
                f"Move what is chosen from {source.name} to {target.name}, and delete it at the "
                "first?",
                yes=yes,
            )
        copied = _run(source, target, passage, wanted, move=move, dry_run=dry_run)
        _tell(copied, source, passage, move=move, dry_run=dry_run)


def _run(
    source: DirectStore,
    target: DirectStore,
    passage: Passage,
    wanted: Selection,
    *,
    move: bool,
    dry_run: bool,
) -> Copied:
    from celers_worker.moving import copying

    total = sum(copying.counted(source, passage, wanted).values())
    with Brake() as brake, progress("Moving" if move else "Copying", total) as advance:

        def stop() -> bool:
            return brake.pulled

        if move and not dry_run:
            return copying.move(source, target, passage, wanted, advance=advance, stop=stop)
        return copying.copy(
            source, target, passage, wanted, dry_run=dry_run, advance=advance, stop=stop
        )


def _tell(
    copied: Copied, source: DirectStore, passage: Passage, *, move: bool, dry_run: bool
) -> None:
    added = counted(copied.tally.added)
    if not copied.tally.finished:
        raise Interrupted(f"copied {added}. Run it again for the rest.")
    say(f"would {'move' if move else 'copy'} {added}." if dry_run else f"copied {added}.")
    tell_rest(copied.tally)
    if move and not dry_run:
        note(f"deleted at the source: {counted(copied.deleted)}.")
    if passage.left:
        note(_left(source, passage))


def _left(source: DirectStore, passage: Passage) -> str:
    names = ", ".join(part.name for part in passage.left)
    verb = "runs" if passage.workers == 1 else "run"
    return (
        f"{count(passage.workers, 'worker')} {verb} on {source.name}, so these were left: {names}. "
        "Stop the workers, then run it again."
    )


def _check_url(url: str) -> None:
    from celers_worker.config.url import url_problems

    problems = [f"--to {problem}" for problem in url_problems(url)]
    if problems:
        raise ConfigurationError(*problems)
