"""``celers enqueue``: add a task, with the application's checks where there is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.choosing import INSTANT, QUEUE
from celers_worker.cli.failure import warn
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import note
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.names import check_task_name, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celers_worker.app import Celers
    from celers_worker.config import LoadedConfig
    from celers_worker.core.options import Options
    from celers_worker.core.task import NewTask
    from celers_worker.store.direct import DirectStore


@click.command("enqueue")
@click.argument("name", metavar="NAME")
@click.argument("arguments", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--json", "document", metavar="OBJECT", help="Arguments as one JSON object.")
@click.option("--stdin", is_flag=True, help="Read that object from standard input.")
@click.option("-A", "--app", metavar="MODULE[:NAME]", help="The application that checks the task.")
@click.option("--force", is_flag=True, help="Even if the application has no such handler.")
@click.option("-q", "--queue", type=QUEUE, help="Else its handler's, else default.")
@click.option("--priority", type=int, metavar="N", help="Higher runs first.")
@click.option("--max-retries", type=int, metavar="N", help="Runs after the first.")
@click.option("--delay", metavar="DURATION", help="Due only then, such as 10m.")
@click.option("--at", type=INSTANT, metavar="INSTANT", help="Due then: 2030-01-31T08:00:00Z.")
@click.option("--timeout", metavar="DURATION", help="How long a run may take.")
@click.option("--expires", metavar="DURATION", help="Not started by then: dropped.")
@click.option("--unique-key", metavar="TEXT", help="Add nothing while a live task has this key.")
@click.option("--fingerprint", metavar="TEXT", help="A label to find and cancel tasks by.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    name: str,
    arguments: tuple[str, ...],
    document: str | None,
    stdin: bool,
    app: str | None,
    force: bool,
    **options: Any,
) -> None:
    """Add a task and print its id.

    A value that is JSON is taken as such, any other as text: n=1 is a number, to=ada@example.org
    is text, and so is n='"1"'.
    """
    from celers_worker.core.options import Options

    if options["at"] is not None and options["delay"] is not None:
        raise ConfigurationError("--at and --delay both say when the task is due: choose one.")
    checked = Options(**options)
    loaded = invocation.load_config({"worker.app": app})
    given = _object(document, stdin) | _pairs(arguments)
    application, loaded = find_application(loaded)
    task = _task(check_task_name(name), given, checked, application, force)
    with invocation.store(loaded.config) as store:
        if application is None:
            warn_unless_handled(store, name)
        [added] = store.enqueue([task])
    click.echo(str(added.id))
    if added.existing:
        note(f"This live task has the unique key {checked.unique_key!r}: nothing was added.")


def _task(
    name: str, given: Mapping[str, Any], options: Options, app: Celers | None, force: bool
) -> NewTask:
    from celers_worker.core.payload import encode_arguments

    handler = None if app is None else app.registry.get(name)
    if app is not None and handler is not None:
        handler = app.client.configured(handler)
        given = handler.check_arguments((), given)
    elif app is not None and not force:
        raise ConfigurationError(
            f"the application has no handler {name!r}.{app.registry.suggestion(name)} "
            "Enqueue it for another one with --force."
        )
    return options.task(name, encode_arguments(given), handler)


def arguments_of(pairs: Sequence[str], document: str | None) -> dict[str, Any]:
    """Arguments from KEY=VALUE and one JSON object. Raises ConfigurationError."""
    return _object(document, False) | _pairs(pairs)


def _pairs(arguments: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"{argument[:80]!r} is no argument: write KEY=VALUE.")
        if key in found:
            raise ConfigurationError(f"the argument {key[:80]!r} is given twice.")
        found[key] = _value(text)
    return found


def _value(text: str) -> Any:
    from celers_worker.core.payload import decode

    try:
        return decode(text)
    except (PayloadError, UnicodeError):
        return text


def _object(document: str | None, stdin: bool) -> dict[str, Any]:
    from celers_worker.core.payload import decode

    if document is not None and stdin:
        raise ConfigurationError("--json and --stdin both bring the arguments: choose one.")
    if document is None and not stdin:
        return {}
    option = "--stdin" if stdin else "--json"
    content: bytes | str = sys.stdin.buffer.read() if document is None else document
    try:
        value = decode(content)
    except (PayloadError, UnicodeError) as error:
        raise ConfigurationError(f"{option}: {error}") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f'{option} takes one JSON object, such as {{"to": "ada"}}.')
    return value


def find_application(loaded: LoadedConfig) -> tuple[Celers | None, LoadedConfig]:
    """The application that is named, or that of tasks.py here, or none: a producer needs none."""
    named = bool(loaded.config.worker.app or loaded.config.worker.modules)
    if not named and not (Path("tasks.py").exists() or Path("tasks", "__init__.py").exists()):
        return None, loaded
    from celers_worker.cli.application import load_application

    try:
        return load_application(loaded)
    except ConfigurationError as error:
        if named:
            raise
        warn(f"{error} The task is not checked.")  # somebody else's tasks.py, perhaps
        return None, loaded


def warn_unless_handled(store: DirectStore, name: str) -> None:
    """Compare with what the workers say that they run: a typing error would wait for ever."""
    from celers_worker.store import survey

    live = [view for view in store.run(survey.list_workers) if view.state != "lost"]
    known = {handler for view in live for handler in view.handlers}
    if known and name not in known:
        warn(f"no worker has a handler {name!r}.{nearest(name, known)}")
