"""Sessions whose client froze at the one moment at which the server would wait for it for ever.

asyncpg asks what a new statement looks like before it runs it, and the server answers without
ending the command. Whoever freezes then leaves a session that counts as active. It reads, so
``statement_timeout`` leaves it alone; it is not idle, so ``idle_in_transaction_session_timeout``
does too. All the while it has its locks.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, Select, bindparam, column, func, literal_column, select, table

from celers_worker.store import sql

_sessions = table(
    "pg_stat_activity",
    column("pid"),
    column("datname"),
    column("usesysid"),
    column("application_name"),
    column("state"),
    column("state_change"),
    column("wait_event"),
)


def _frozen(*what: Any) -> Select[Any]:
    """*what* of sessions as ours, which we may end, with half a statement older than *silence*."""
    seconds = bindparam("silence", type_=Double)
    return select(*what).where(
        _sessions.c.datname == func.current_database(),
        _sessions.c.application_name == func.current_setting("application_name"),
        _sessions.c.state == "active",
        _sessions.c.wait_event == "ClientRead",
        func.pg_has_role(_sessions.c.usesysid, "USAGE"),
        _sessions.c.state_change < sql.later(-seconds),
    )


#: Whether there are any: asked with what else may be due, and without the right to end them.
ANY: Select[Any] = _frozen(literal_column("1"))
#: Not as a condition: in which order those are looked at, nobody promises.
END: Select[Any] = _frozen(func.pg_terminate_backend(_sessions.c.pid))
