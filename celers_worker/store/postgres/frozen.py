"""Sessions whose client froze at the one moment at which the server would wait for it for ever.

asyncpg asks what a new statement looks like before it runs it, and the server answers without
ending the command. Whoever freezes then leaves a session that counts as active. It reads, so
``statement_timeout`` leaves it alone; it is not idle, so ``idle_in_transaction_session_timeout``
does too. All the while it has its locks.
"""

from __future__ import annotations

from sqlalchemy import Double, TextClause, bindparam, text

#: Sessions as ours, which we may end, and whose half a statement is older than *silence* seconds.
_FROZEN = (
    "datname = current_database() AND application_name = current_setting('application_name')"
    " AND state = 'active' AND wait_event = 'ClientRead' AND pg_has_role(usesysid, 'USAGE')"
    " AND state_change < clock_timestamp() - make_interval(secs => :silence)"
)
_SILENCE = bindparam("silence", type_=Double)
#: Whether there are any: the right to end them is only asked for when there are.
ANY_FROZEN: TextClause = text(f"SELECT 1 FROM pg_stat_activity WHERE {_FROZEN} LIMIT 1").bindparams(
    _SILENCE
)
END_FROZEN: TextClause = text(
    # Not as a condition: in which order those are looked at, nobody promises.
    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_FROZEN}"
).bindparams(_SILENCE)
