"""What the file, the environment and the flags say, each for itself.

A layer carries only what was set: absent is not default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celers_worker.config.documents import Document, find_document, header, read_text
from celers_worker.config.settings import setting_at, settings_of
from celers_worker.config.tables import NAMED_TABLES, TABLES, Readers
from celers_worker.config.url import has_password
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import (
    check_queue_name,
    check_schedule_name,
    check_task_name,
    nearest,
)
from celers_worker.core.routing import check_pattern

URL = "database.url"
URL_FILE = "CELERS_DATABASE_URL_FILE"
CREDENTIAL = "$CREDENTIALS_DIRECTORY/database_url"

#: What Kubernetes sets for a service called celers-worker or celers-metrics; none of it is ours.
_KUBERNETES = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?$"
)
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")

ROUTES = "routes"
_WHO = {Readers.GROUP: "the group of the file", Readers.EVERYBODY: "everybody on this host"}
_NAMES_IN: Mapping[str, Callable[[object], str]] = {
    "queues": check_queue_name,
    "handlers": check_task_name,
    "schedules": check_schedule_name,
    ROUTES: check_pattern,
}
_FLAGS = {"database.url": "--database", "worker.queues": "--queue", "worker.modules": "--module"}


@dataclass(frozen=True, slots=True)
class Place:
    """What set a value; ``where`` is that with the line, if it has lines."""

    source: str
    where: str


@dataclass(frozen=True, slots=True)
class Layer:
    """What is set, by dotted key, and what is wrong with it.

    A value that was refused has a place and a problem but is not among the values.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, key: str, value: object, place: Place) -> None:
        """Set *key* to *value*, or note why it cannot be."""
        self.places[key] = place
        try:
            self.values[key] = setting_at(key).kind.read(value, key)
        except ConfigurationError as error:
            self.problems.extend(f"{place.where}: {problem}" for problem in error.problems)

    def add_text(self, key: str, text: str, source: str) -> None:
        """Set *key* to what *text* says, which a variable or a flag called *source* holds."""
        self.add(key, setting_at(key).kind.parse(text), Place(source, source))

    def lay(self, upper: Layer) -> None:
        """Put *upper* on top. What is wrong below counts even where it is hidden."""
        self.problems.extend(upper.problems)
        for key, place in upper.places.items():
            self.places[key] = place
            self.values.pop(key, None)
        self.values.update(upper.values)


def flag_of(key: str) -> str:
    """Return the flag for *key*: ``--concurrency`` for worker.concurrency, else ``--log-level``."""
    name = key.removeprefix("worker.").replace(".", "-").replace("_", "-")
    return _FLAGS.get(key, f"--{name}")


def file_layer(file: Path | None, environment: Mapping[str, str], directory: Path) -> Layer:
    """Return what the configuration file sets."""
    layer = Layer()
    try:
        document = find_document(file, environment, directory)
    except ConfigurationError as error:
        layer.problems.extend(error.problems)
        return layer
    if document is None:
        return layer
    for table, content in document.content.items():
        if table in NAMED_TABLES and isinstance(content, dict):
            _add_named_tables(layer, document, table, content)
        elif table in TABLES and isinstance(content, dict):
            _add_table(layer, document, (table,), content)
        else:
            problem = _misplaced(table, content)
            layer.problems.append(f"{document.where(table)}: {problem}")
    return layer


def _add_named_tables(
    layer: Layer, document: Document, table: str, content: Mapping[str, Any]
) -> None:
    check = _NAMES_IN[table]
    for name, inner in content.items():
        where = document.where(table, name)
        try:
            check(name)
        except ConfigurationError as error:
            layer.problems.append(f"{where}: {error}")
            continue
        if isinstance(inner, dict):
            _add_table(layer, document, (table, name), inner)
        elif table == ROUTES:  # "reports.*" = "reports" is short for a table with one key
            layer.add(f"{ROUTES}.{name}.queue", inner, Place(document.name, where))
        elif name in settings_of(table):
            layer.problems.append(f"{where}: {name!r} belongs in [{table}.NAME].")
        else:
            layer.problems.append(f"{where}: {name!r} must be a table: {header(table, name)}.")


def _add_table(
    layer: Layer, document: Document, path: tuple[str, ...], content: Mapping[str, Any]
) -> None:
    known = settings_of(path[0])
    for name, value in content.items():
        where = document.where(*path, name)
        if name in known:
            key = ".".join((*path, name))
            layer.add(key, value, Place(document.name, where))
            if key == URL and _has_password(value):
                layer.problems.extend(_told_to_others(document, where, content.get("file_readers")))
        elif len(path) > 1 and isinstance(value, dict):
            # [handlers.shop.pay] is TOML for a table in a table.
            layer.problems.append(
                f"{where}: put a name with dots in quotes: "
                f"{header(path[0], f'{path[1]}.{_joined(name, value)}')}."
            )
        else:
            layer.problems.append(
                f"{where}: unknown key {name[:80]!r} in {header(*path)}."
                f"{_elsewhere(name, known, path[0])}"
            )


def _told_to_others(document: Document, where: str, allowed: object) -> Iterator[str]:
    """Yield what is wrong if more may read the password than *allowed*, by default the owner."""
    order = list(Readers)
    most = next((one for one in order if one == allowed), Readers.OWNER)
    if order.index(document.readers) > order.index(most):
        yield (
            f"{where}: {_WHO[document.readers]} can read the password of database.url: run "
            f'`chmod 600 {document.name}`, or allow it by file_readers = "{document.readers}".'
        )


def _has_password(value: object) -> bool:
    return isinstance(value, str) and has_password(value)


def _joined(name: str, content: Mapping[str, Any]) -> str:
    """Return the rest of a dotted name that TOML has read as nested tables."""
    inner = next(((key, value) for key, value in content.items() if isinstance(value, dict)), None)
    return f"{name}.{_joined(*inner)}" if inner else name


def _elsewhere(name: str, known: Iterable[str], table: str) -> str:
    homes = [f"[{other}]" for other in TABLES if other != table and name in settings_of(other)]
    return nearest(name, known) or (f" It belongs in {' or '.join(homes)}." if homes else "")


def _misplaced(table: str, content: object) -> str:
    if table in TABLES:
        return f"{table} must be a table: write [{table}] once, and its keys below."
    if table in NAMED_TABLES:
        return f"{table} must hold a table for each name: [{table}.NAME]."
    if isinstance(content, dict):
        hint = nearest(table, [*TABLES, *NAMED_TABLES])
        return f"unknown table {header(table)}.{hint or f' There are {_listed()}.'}"
    keys = {key: name for name in TABLES for key in settings_of(name)}
    home = keys.get(table)
    hint = f" It belongs in [{home}]." if home else nearest(table, keys)
    return f"unknown key {table[:80]!r} outside of any table.{hint}"


def _listed() -> str:
    return ", ".join(f"[{name}]" for name in (*TABLES, *(f"{name}.NAME" for name in NAMED_TABLES)))


def environment_layer(environment: Mapping[str, str], directory: Path) -> Layer:
    """Return what CELERS_<TABLE>_<KEY> variables set, CELERS_APP and CELERS_DATABASE_URL_FILE."""
    layer = Layer()
    variables = dict(_variables())
    for name in sorted(environment):
        text = environment[name]
        if not _is_ours(name, text):
            continue
        key = variables.get(name)
        if key is None:
            layer.problems.append(_unknown_variable(name, variables))
        elif key in layer.places:
            layer.problems.append(f"{layer.places[key].where} and {name} are both set: unset one.")
        elif name == URL_FILE:
            _add_url_from(layer, directory / text, text or '""', name)
        else:
            layer.add_text(key, text.strip(), name)
    return layer


def _is_ours(name: str, text: str) -> bool:
    tables = (f"CELERS_{table.upper()}_" for table in (*TABLES, *NAMED_TABLES))
    if name != "CELERS_APP" and not name.startswith(tuple(tables)):
        return False
    return not _KUBERNETES.search(name) and not (
        name.endswith("_PORT") and _KUBERNETES_PORT.match(text)
    )


def _variables() -> Iterator[tuple[str, str]]:
    yield "CELERS_APP", "worker.app"
    yield URL_FILE, URL
    for table in TABLES:
        for key in settings_of(table):
            yield f"CELERS_{table}_{key}".upper(), f"{table}.{key}"


def _unknown_variable(name: str, variables: Mapping[str, str]) -> str:
    for table in NAMED_TABLES:
        if name.startswith(f"CELERS_{table.upper()}_"):
            limits = ", or CELERS_WORKER_QUEUES=emails:4" if table == "queues" else ""
            return f"{name}: no variable sets [{table}.NAME]: use the configuration file{limits}."
    return f"{name}: unknown variable.{nearest(name, variables)}"


def flag_layer(flags: Mapping[str, object]) -> Layer:
    """Return what flags set; None, and the empty tuple of a flag that may be repeated, do not."""
    layer = Layer()
    for key, value in flags.items():
        if value is None or value == ():
            continue
        flag = flag_of(key)
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            value = ",".join(value)  # --queue emails --queue reports:4 is --queue emails,reports:4
        try:
            if isinstance(value, str):
                layer.add_text(key, value, flag)
            else:
                layer.add(key, value, Place(flag, flag))
        except KeyError:
            layer.problems.append(f"{flag}: unknown setting {key!r}.")
    return layer


def credential_layer(environment: Mapping[str, str]) -> Layer:
    """Return the database's URL if systemd passes it as the credential ``database_url``."""
    layer = Layer()
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory and os.path.exists(path := Path(directory, "database_url")):
        _add_url_from(layer, path, str(path), CREDENTIAL)
    return layer


def _add_url_from(layer: Layer, path: Path, name: str, source: str) -> None:
    try:
        text, _ = read_text(path, name, f"{source}: ")
    except ConfigurationError as error:
        layer.problems.extend(error.problems)
    else:
        layer.add_text(URL, text.strip(), source)
