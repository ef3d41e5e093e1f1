"""The database."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
    "database.url": Description(
        "The database: sqlite:///file, postgresql://user@host/name or mysql://user@host/name. Off "
        "this host its certificate is verified: see docs/security.md for ?sslrootcert=, ?sslmode=.",
        "Change it to run workers on several hosts. Keep a password out of this file: give the URL "
        "in CELERS_DATABASE_URL, or the name of a file that holds it in CELERS_DATABASE_URL_FILE.",
    ),
    "database.connect_timeout": Description(
        "How long connecting may take.",
        "Raise it for a database that is far away or wakes from sleep.",
    ),
    "database.call_timeout": Description(
        "How long one call of the database may take, by the worker's own clock.",
        "Raise it if a loaded database answers late; a frozen one is then noticed later.",
    ),
    "database.pool_size": Description(
        "Connections that a process keeps for calls; on PostgreSQL a worker has four more.",
        "Raise it if handlers use context.transaction() a lot; lower it if connections are scarce.",
    ),
    "database.file_readers": Description(
        "Who may read this file if the URL in it has a password: owner, group or everybody.",
        'Change it to "group" where the file is root\'s and the worker in its group (chmod 640).',
    ),
    "database.pooler": Description(
        "What stands before PostgreSQL: none, or transaction for a pooler in that mode.",
        "Set it to transaction behind PgBouncer with pool_mode = transaction; an idle worker then "
        "looks for tasks ten times a second, for nobody can tell it. Pools of sessions need none.",
    ),
}
