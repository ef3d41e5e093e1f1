"""PostgreSQL behind a pooler in transaction mode, such as PgBouncer: nothing lasts in a session.

Each transaction may be on another of the server's connections. So settings are those of a
transaction, statements are prepared without a name and inside the transaction that runs them, and
LISTEN and locks of a session are not used at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from celers_worker.store.base import StoreOptions
from celers_worker.store.transaction import Transaction

#: An execution option of connections whose work may take long: migrations.
UNBOUNDED = "celers_unbounded"


def asyncpg_arguments() -> dict[str, Any]:
    """What keeps asyncpg, and SQLAlchemy above it, from preparing statements in a session.

    Without its cache asyncpg sends a statement anew with what runs it, in one message.
    """
    return {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def limits(options: StoreOptions) -> dict[str, str]:
    """What the server ends by itself: what nobody waits for, and who froze in a transaction."""
    call = f"{round(options.call_timeout.total_seconds() * 1000)}"
    return {"statement_timeout": call, "idle_in_transaction_session_timeout": call}


def local(settings: Mapping[str, str]) -> str:
    """Statements that set *settings* for the transaction."""
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())


def limit(engine: Engine, options: StoreOptions) -> None:
    """Let each transaction of *engine* begin with the limits, for its session cannot have them."""
    # One statement, for each is a round trip.
    wanted = ", ".join(
        f"set_config('{name}', '{value}', true)" for name, value in limits(options).items()
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(UNBOUNDED):
            connection.exec_driver_sql(f"SELECT {wanted}")


def sign_of_pooler(transaction: Transaction, options: StoreOptions) -> str | None:
    """What tells that something between us and the server keeps our settings to itself."""
    wanted = limits(options)["statement_timeout"]
    found = transaction.connection.execute(
        text("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'")
    ).scalar()
    if found == wanted:
        return None
    return f"statement_timeout is {found} ms, though the connection asked for {wanted} ms"
