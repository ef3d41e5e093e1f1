"""What ``celers check`` finds: facts, and everything that is wrong with them, all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from celers_worker.app import Celers
from celers_worker.app.discovery import DEFAULT_MODULE
from celers_worker.cli.application import load_application
from celers_worker.config import Config, LoadedConfig, parse_queue, redact_url
from celers_worker.core.errors import CelersError, ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.names import nearest
from celers_worker.core.schedule import Schedule
from celers_worker.store import DirectStore, survey
from celers_worker.store.schema import HEAD
from celers_worker.store.server import (
    Server,
    check_schema,
    check_server,
    known_faults,
    schema_revision,
    server_of,
)

OpenStore: TypeAlias = Callable[[Config], AbstractContextManager[DirectStore]]


@dataclass(slots=True)
class Examination:
    """What was found; ``errors`` and ``warnings`` hold a sentence each."""

    loaded: LoadedConfig
    handlers: Sequence[Handler] = ()
    schedules: Sequence[Schedule] = ()
    server: Server | None = None
    revision: str | None = None
    unhandled: Mapping[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def config(self) -> Config:
        """The configuration that applies."""
        return self.loaded.config

    @property
    def database(self) -> str:
        """The database, without its password."""
        return redact_url(self.config.database.url)


def examine(loaded: LoadedConfig, open_store: OpenStore) -> Examination:
    """Look at everything there is, changing nothing."""
    found = Examination(loaded)
    _examine_application(found)
    if found.handlers:
        _examine_queues(found)
    try:
        with open_store(found.config) as store:
            _examine_database(found, store)
    except CelersError as error:
        found.errors.append(f"database: {error}")
    return found


def _examine_application(found: Examination) -> None:
    target, modules = found.config.worker.app, found.config.worker.modules
    try:
        app, found.loaded = load_application(found.loaded)
    except ConfigurationError as error:
        is_named = bool(target or modules) or Path(f"{DEFAULT_MODULE}.py").exists()
        problems = [f"application: {problem}" for problem in error.problems]
        (found.errors if is_named else found.warnings).extend(problems)
        return
    found.handlers = sorted(app.registry.mapped(app.client.configured), key=lambda one: one.name)
    if not found.handlers:
        found.warnings.append("application: it has no handler, so a worker would run nothing.")
    _examine_schedules(found, app)
    names = [handler.name for handler in found.handlers]
    found.warnings += [
        f"[handlers.{name}] of the configuration is for no handler.{nearest(name, names)}"
        for name in found.config.handlers
        if name not in names
    ]


def _examine_schedules(found: Examination, app: Celers) -> None:
    try:
        found.schedules = sorted(app.schedules.effective(found.config), key=lambda one: one.name)
    except ConfigurationError as error:
        found.errors.extend(error.problems)
        return
    names = [handler.name for handler in found.handlers]
    found.warnings += [
        f"the schedule {schedule.name!r} enqueues {schedule.task!r}, which no handler has."
        f"{nearest(schedule.task, names)}"
        for schedule in found.schedules
        if schedule.task not in names
    ]


def _examine_queues(found: Examination) -> None:
    config = found.config
    declared = {handler.queue for handler in found.handlers}
    served = [parse_queue(text)[0] for text in config.worker.queues]
    for handler in found.handlers:
        if served and handler.queue not in served:
            found.warnings.append(
                f"the queue {handler.queue!r} of the handler {handler.name!r} is not among "
                f"worker.queues ({', '.join(served)}): another worker must serve it."
            )
    for queue in dict.fromkeys([*served, *config.queues]):
        if queue not in declared:
            hint = nearest(queue, declared)
            found.warnings.append(
                f"the queue {queue!r} is configured, but no handler uses it.{hint}"
            )


def _examine_database(found: Examination, store: DirectStore) -> None:
    if store.file is not None and not store.file.exists():
        return  # it is made with the first task; to look would make it now
    found.server = store.run(lambda transaction: server_of(transaction.connection))
    check_server(found.server)
    found.warnings += [f"database: {fault}" for fault in known_faults(found.server)]
    found.revision = store.run(lambda transaction: schema_revision(transaction.connection))
    if store.file is not None and (found.revision or "") < HEAD:
        return  # it is brought up to date when it is opened
    store.run(lambda transaction: check_schema(transaction.connection))
    if not found.handlers:
        return
    names = [handler.name for handler in found.handlers]
    found.unhandled = store.run(survey.unhandled_names, names)
    found.warnings += [
        f"{number:,} waiting {'task has' if number == 1 else 'tasks have'} the name {name!r}, "
        f"which no handler has.{nearest(name, names)}"
        for name, number in found.unhandled.items()
    ]
