"""The triggers that write the audit trail. They exist only while a queue has one.

Triggers, because whoever writes a task is then on the trail: every path of this code, its faster
statements on PostgreSQL, CeleRS's own programs, and a person with a client. While no queue has a
trail there are none, so a task costs nothing more.

Each looks up whether the task's queue has a trail. A list of queues inside the triggers would save
that, but MySQL cannot replace a trigger, and between the old and the new one tasks would be missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from celers_worker.core.errors import Refused
from celers_worker.store.postgres.partitions import in_this_schema

_COLUMNS = "task_id, state, timestamp, worker_id, message, queue_name, lease"


@dataclass(frozen=True, slots=True)
class _Spelling:
    """What the databases write differently inside a trigger."""

    now: str
    dual: str
    differ: str
    join: str
    end: str = ""

    def joined(self, *parts: str) -> str:
        return f"CONCAT({', '.join(parts)})" if self.join == "CONCAT" else " || ".join(parts)

    def differs(self, column: str) -> str:
        return self.differ.format(new=f"NEW.{column}", old=f"OLD.{column}")


_SPELLINGS = {
    "postgresql": _Spelling("statement_timestamp()", "", "{new} IS DISTINCT FROM {old}", "||"),
    "sqlite": _Spelling(
        "strftime('%Y-%m-%d %H:%M:%f000', 'now')", "", "{new} IS NOT {old}", "||", end=";"
    ),
    "mysql": _Spelling("UTC_TIMESTAMP(6)", "FROM DUAL", "NOT ({new} <=> {old})", "CONCAT"),
}


@dataclass(frozen=True, slots=True)
class _Trigger:
    name: str
    table: str
    event: str
    when: str
    body: str


def create(connection: Connection) -> None:
    """Make the triggers, unless they exist. The caller keeps others from doing so meanwhile.

    Raises Refused, naming the setting or the right, where the server does not let this user.
    """
    if exist(connection):
        return
    try:
        drop(connection)  # what a run that was killed has left
        for statement in _creations(connection.dialect.name):
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        explain(error)


def drop(connection: Connection) -> None:
    """Remove the triggers, as far as they exist."""
    on_postgres = connection.dialect.name == "postgresql"
    for trigger in _triggers(_spelling(connection.dialect.name)):
        where = f" ON {trigger.table}" if on_postgres else ""
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {trigger.name}{where}")
        if on_postgres:
            connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {trigger.name}()")


def exist(connection: Connection) -> bool:
    """Whether all triggers are there."""
    names = {trigger.name for trigger in _triggers(_spelling(connection.dialect.name))}
    catalogue = {
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid IN ('celers_tasks'::regclass,"
        " 'celers_task_archive'::regclass, 'celers_dead_letter_queue'::regclass)",
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    }.get(
        connection.dialect.name,
        "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    )
    return names <= set(connection.exec_driver_sql(catalogue).scalars())


def explain(error: DBAPIError) -> NoReturn:
    """Say what stands in the way on MySQL: 1419 is the binary log, 1142 and 1227 are rights."""
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    if code == 1419:
        raise Refused(
            "the audit trail needs triggers, and the server lets this user make none, because its "
            "binary log is on. Set log_bin_trust_function_creators = 1 on the server, or run this "
            "command once as a user with the right SUPER."
        )
    if code in (1142, 1227):
        raise Refused(
            "the audit trail needs triggers, and this user may make none. "
            "Run: GRANT TRIGGER ON the database TO the user"
        )
    raise error


# --- their text ---


def _spelling(backend: str) -> _Spelling:
    return _SPELLINGS.get(backend, _SPELLINGS["mysql"])


def _creations(backend: str) -> Iterator[str]:
    for trigger in _triggers(_spelling(backend)):
        begin = f"CREATE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table}"
        match backend:
            case "postgresql":
                yield (
                    f"CREATE OR REPLACE FUNCTION {trigger.name}() RETURNS trigger LANGUAGE plpgsql "
                    # Whoever writes a task leaves a trail, and need not be able to forge one.
                    f"SECURITY DEFINER AS $$ BEGIN {trigger.body}; RETURN NULL; END $$"
                )
                yield in_this_schema(f"{trigger.name}()")
                yield (
                    f"{begin} FOR EACH ROW WHEN ({trigger.when}) EXECUTE FUNCTION {trigger.name}()"
                )
            case "sqlite":
                yield f"{begin} FOR EACH ROW WHEN {trigger.when} BEGIN {trigger.body}; END"
            case _:
                yield f"{begin} FOR EACH ROW {trigger.body} AND ({trigger.when})"


def _triggers(spelling: _Spelling) -> list[_Trigger]:
    return [
        _Trigger(
            "celers_history_enqueued",
            "celers_tasks",
            "INSERT",
            "1 = 1",
            _note(
                spelling,
                message="CASE WHEN NEW.lease > 0 THEN 'made pending again' END",
                queues="NEW.queue_name",
            ),
        ),
        _changed(spelling),
        _Trigger(
            "celers_history_archived",
            "celers_task_archive",
            "INSERT",
            "1 = 1",
            _note(
                spelling,
                message="CASE NEW.state WHEN 'cancelled' THEN "
                "COALESCE(NEW.cancel_reason, NEW.error_message) END",
                queues="NEW.queue_name",
            ),
        ),
        _Trigger(
            "celers_history_buried",
            "celers_dead_letter_queue",
            "INSERT",
            "1 = 1",
            _note(
                spelling,
                message=spelling.joined("NEW.reason", "': '", "COALESCE(NEW.error_message, '')"),
                queues="NEW.queue_name",
            ),
        ),
    ]


def _changed(spelling: _Spelling) -> _Trigger:
    """A live task: its state, its place in the queues, or a request to stop it."""
    watched = ("state", "lease", "queue_name", "priority", "scheduled_at", "max_retries")
    asked = "(OLD.cancel_requested_at IS NULL AND NEW.cancel_requested_at IS NOT NULL)"
    ended = "OLD.state = 'processing' AND NEW.state <> 'processing'"
    failed = (
        "(NEW.retry_count > OLD.retry_count OR NEW.crash_count > OLD.crash_count"
        f" OR {spelling.differs('error_message')})"
    )
    moved = spelling.joined("'moved from queue '", "OLD.queue_name")
    priority = spelling.joined("'priority was '", _as_text(spelling, "OLD.priority"))
    retries = spelling.joined("'max_retries was '", _as_text(spelling, "OLD.max_retries"))
    stopping = spelling.joined("'asked to stop: '", "COALESCE(NEW.cancel_reason, '')")
    message = (
        f"CASE WHEN {ended} THEN CASE WHEN {failed} THEN NEW.error_message END"
        f" WHEN {asked} THEN {stopping}"
        " WHEN NEW.state <> OLD.state THEN NULL"
        " WHEN OLD.queue_name = '' THEN 'adopted from a foreign producer'"
        f" WHEN {spelling.differs('queue_name')} THEN {moved}"
        f" WHEN {spelling.differs('priority')} THEN {priority}"
        f" WHEN {spelling.differs('max_retries')} THEN {retries}"
        f" WHEN {spelling.differs('scheduled_at')} THEN 'rescheduled' END"
    )
    return _Trigger(
        "celers_history_changed",
        "celers_tasks",
        "UPDATE",
        f"{' OR '.join(map(spelling.differs, watched))} OR {asked}",
        _note(
            spelling,
            message=message,
            queues="NEW.queue_name, OLD.queue_name",
            worker=f"CASE WHEN {ended} THEN OLD.worker_id ELSE NEW.worker_id END",
            lease=f"CASE WHEN {ended} THEN OLD.lease ELSE NEW.lease END",
        ),
    )


def _note(
    spelling: _Spelling,
    *,
    message: str,
    queues: str,
    worker: str = "NEW.worker_id",
    lease: str = "NEW.lease",
) -> str:
    """The statement of a trigger: a row of the trail, if one of *queues* has one."""
    return (
        f"INSERT INTO celers_task_history ({_COLUMNS}) SELECT NEW.id, NEW.state, {spelling.now}, "
        f"{worker}, {message}, NEW.queue_name, {lease} {spelling.dual} "
        f"WHERE EXISTS (SELECT 1 FROM celers_history_queues WHERE name IN ({queues}))"
    )


def _as_text(spelling: _Spelling, number: str) -> str:
    return f"CAST({number} AS {'CHAR' if spelling.join == 'CONCAT' else 'TEXT'})"
