"""``celers enqueue``: add tasks, with the application's checks where there is one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli.choosing import INSTANT, QUEUE
from celers_worker.cli.failure import warn
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import format_option, note, show_document
from celers_worker.core.errors import ConfigurationError, Forbidden, PayloadError
from celers_worker.core.names import check_task_name, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from celers_worker.app import Celers
    from celers_worker.config import Config, LoadedConfig
    from celers_worker.core.options import Options
    from celers_worker.core.task import Enqueued, NewTask
    from celers_worker.store.direct import DirectStore


@click.command("enqueue")
@click.argument("name", metavar="NAME")
@click.argument("arguments", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--json", "document", metavar="OBJECT", help="Arguments as one JSON object.")
@click.option("--stdin", is_flag=True, help="A task for each line, a JSON object of arguments.")
@click.option("--records", is_flag=True, help='Lines are {"arguments": {…}, "queue": …, …}.')
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
@click.option("--unique-for", metavar="DURATION", help="The key stays taken for so long.")
@click.option("--on-conflict", metavar="return|replace|raise", help="If the key is taken.")
@click.option("--debounce", metavar="DURATION", help="Due so long after the last such enqueue.")
@click.option("--debounce-max", metavar="DURATION", help="And so long after the first at most.")
@click.option("--fingerprint", metavar="TEXT", help="A label to find and cancel tasks by.")
@click.option("--tag", "tags", metavar="TEXT", multiple=True, help="Another such; repeatable.")
@format_option
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    name: str,
    arguments: tuple[str, ...],
    document: str | None,
    stdin: bool,
    records: bool,
    app: str | None,
    force: bool,
    style: str,
    **options: Any,
) -> None:
    """Add a task and print its id, or with --stdin many, and print theirs.

    A value that is JSON is taken as such, any other as text: n=1 is a number, to=ada@example.org
    is text, and so is n='"1"'.
    """
    from celers_worker.core.options import Options

    if options["at"] is not None and options["delay"] is not None:
        raise ConfigurationError("--at and --delay both say when the task is due: choose one.")
    if document is not None and stdin:
        raise ConfigurationError("--json and --stdin both bring the arguments: choose one.")
    if records and not stdin:
        raise ConfigurationError("--records is about the lines of --stdin: give that too.")
    checked = Options(**options | {"tags": options["tags"] or None})
    loaded = invocation.load_config({"worker.app": app})
    given = _object(document) | _pairs(arguments)
    application, loaded = find_application(loaded)
    check_task_name(name)
    task = partial(_task, name, app=application, config=loaded.config, force=force)
    if not stdin:
        only = task(given, checked)
    with invocation.store(loaded.config) as store:
        if application is None:
            warn_unless_handled(store, name)
        write = partial(store.enqueue, capacities=loaded.config.capacities)
        if stdin:
            _enqueue_lines(partial(_of_line, task, given, checked, records), write, style)
        else:
            [added] = write([only])
            _show(added, checked, style)


def _show(added: Enqueued, options: Options, style: str) -> None:
    if style == "json":
        show_document({"id": str(added.id), "existing": added.existing})
        return
    click.echo(str(added.id))
    if added.existing:
        note(_about_existing(options))


def _about_existing(options: Options) -> str:
    if options.debounce is not None or options.on_conflict == "replace":
        return f"The task with the unique key {options.unique_key!r} was replaced, if it waited."
    return f"This task has the unique key {options.unique_key!r}: nothing was added."


def _enqueue_lines(
    task_of: Callable[[bytes], NewTask],
    write: Callable[[list[NewTask]], list[Enqueued]],
    style: str,
) -> None:
    from celers_worker.cli.enqueue_lines import enqueue_lines

    def tell(added: list[Enqueued]) -> None:
        if style == "table":
            click.echo("\n".join(str(one.id) for one in added))

    summary = enqueue_lines(sys.stdin.buffer, task_of, write, tell)
    if style == "json":
        show_document(asdict(summary))
    else:
        note(f"{summary}.")


def _of_line(
    task: Callable[[Mapping[str, Any], Options], NewTask],
    given: Mapping[str, Any],
    options: Options,
    records: bool,
    content: bytes,
) -> NewTask:
    """The task of one line; *given* on the command line goes before its arguments."""
    from celers_worker.cli.enqueue_lines import arguments_in, record_in

    if not records:
        return task(arguments_in(content) | dict(given), options)
    arguments, own = record_in(content)
    return task(arguments | dict(given), own.over(options))


def _task(
    name: str,
    given: Mapping[str, Any],
    options: Options,
    *,
    app: Celers | None,
    config: Config,
    force: bool,
) -> NewTask:
    from celers_worker.app.client import Client
    from celers_worker.core.payload import encode_arguments

    payload = None
    handler = None if app is None else app.registry.get(name)
    if app is not None and handler is not None:
        handler = app.client.configured(handler)
        payload = handler.encode_arguments((), given)
    elif app is not None and not force:
        raise ConfigurationError(
            f"the application has no handler {name!r}.{app.registry.suggestion(name)} "
            "Enqueue it for another one with --force."
        )
    else:
        client = Client(None, lambda: config) if app is None else app.client
        options = client.routed(name, options)
    return options.task(name, payload or encode_arguments(given), handler)


def arguments_of(pairs: Sequence[str], document: str | None) -> dict[str, Any]:
    """Arguments from KEY=VALUE and one JSON object. Raises ConfigurationError."""
    return _object(document) | _pairs(pairs)


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


def _object(document: str | None) -> dict[str, Any]:
    from celers_worker.core.payload import decode

    if document is None:
        return {}
    try:
        value = decode(document)
    except (PayloadError, UnicodeError) as error:
        raise ConfigurationError(f"--json: {error}") from None
    if not isinstance(value, dict):
        raise ConfigurationError('--json takes one JSON object, such as {"to": "ada"}.')
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

    try:
        live = [view for view in store.run(survey.list_workers) if view.state != "lost"]
    except Forbidden:  # a producer's user need not see the workers
        return
    known = {handler for view in live for handler in view.handlers}
    if known and name not in known:
        warn(f"no worker has a handler {name!r}.{nearest(name, known)}")
