"""``celers doctor``: what is wrong with the database, why it matters, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from celers_worker.cli.failure import Failed
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import count, format_option, printable, say, show_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celers_worker.store.diagnosis import Finding

_COLORS = {"error": "red", "warning": "yellow"}


@click.command("doctor")
@click.option("--interop", is_flag=True, help="Also what hinders CeleRS's own programs, or ours.")
@click.option("--strict", is_flag=True, help="Fail for warnings too.")
@format_option
@click.pass_obj
def command(invocation: Invocation, interop: bool, strict: bool, style: str) -> None:
    """Find what is wrong with the database, and what mends it. Changes nothing.

    It looks at the tables column by column, the server's settings, the rights of its user, its
    connections and its clock, the plan of a claim, dead rows and who keeps them, and at tasks that
    nobody runs. Fails if there is an error, with --strict also if there is a warning.
    """
    with invocation.closed_store() as store:
        from celers_worker.store import diagnosis
        from celers_worker.store import interop as celers
        from celers_worker.store.checkup import examination
        from celers_worker.store.checkup.thresholds import Thresholds

        missing = store.file is not None and not store.file.exists()
        # A file is made with the first task; to look would make it now.
        found = [] if missing else store.run(diagnosis.examine)
        sound = not any(one.severity is diagnosis.Severity.ERROR for one in found)
        if sound and not missing:
            thresholds = Thresholds(
                pool_size=store.options.pool_size,
                asked=None if store.options.pooled else store.options,
            )
            found += examination.examine(store, thresholds)
        if interop and sound and not missing:
            found += store.run(celers.examine)
        name = store.name
    if style == "json":
        show_document([_document(one) for one in found])
    else:
        _show(found, name)
    bad = [one for one in found if strict or one.severity is diagnosis.Severity.ERROR]
    if bad:
        raise Failed(f"{count(len(bad), 'thing')} to mend, see above.")


def _document(one: Finding) -> dict[str, str]:
    return {"severity": one.severity.value, "what": one.what, "why": one.why, "mend": one.mend}


def _show(found: Sequence[Finding], name: str) -> None:
    for one in found:
        word = click.style(one.severity.value, fg=_COLORS[one.severity.value], bold=True)
        click.echo(f"{word}  {printable(one.what)}.")
        click.echo(f"    {printable(one.why)}")
        click.echo(f"    mend: {printable(one.mend)}")
    if not found:
        say(f"{name}: nothing is wrong.")
