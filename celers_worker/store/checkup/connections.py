"""Whether the server has room for the connections of the workers."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from celers_worker.store import survey
from celers_worker.store.base import StoreOptions
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, error, warning
from celers_worker.store.postgres import pooling
from celers_worker.store.transaction import Transaction

#: Besides its pool a worker holds connections for claims, settles, enqueues, LISTEN, and waiting.
HELD = 5


def examine(transaction: Transaction, thresholds: Thresholds) -> Iterator[Finding]:
    """Compare what one worker and all of them may open with what the server allows.

    And tell of a pooler that nobody has named.
    """
    yield from _unnamed_pooler(transaction, thresholds.asked)
    allowed = _allowed(transaction)
    if allowed is None:
        return
    one = thresholds.pool_size + HELD
    number = sum(view.state != "lost" for view in survey.list_workers(transaction))
    mend = (
        f"[database] pool_size = {max(allowed // max(number, 1) - HELD, 1)}, fewer workers, or a "
        "larger max_connections"
    )
    if one > allowed:
        yield error(
            f"one worker opens up to {one:,} connections, and this user may have {allowed:,}",
            "Under load its statements are refused or wait for each other.",
            mend,
        )
    elif number * one > allowed:
        yield warning(
            f"the {number:,} live workers open up to {number * one:,} connections, and this user "
            f"may have {allowed:,}",
            "When all are busy, workers or the application are refused a connection.",
            mend,
        )


def _unnamed_pooler(transaction: Transaction, asked: StoreOptions | None) -> Iterator[Finding]:
    if asked is None or transaction.connection.dialect.name != "postgresql":
        return
    if (sign := pooling.sign_of_pooler(transaction, asked)) is not None:
        yield warning(
            f"a connection pooler seems to stand before the database: {sign}",
            "In transaction mode no setting of a session lasts, nor LISTEN, nor what was prepared.",
            '[database] pooler = "transaction", or connect past it',
        )


def _allowed(transaction: Transaction) -> int | None:
    """How many connections this user may have at once; None: nobody counts them."""
    connection = transaction.connection
    match connection.dialect.name:
        case "postgresql":
            row = connection.execute(
                text(
                    "SELECT current_setting('max_connections')::int"
                    " - current_setting('superuser_reserved_connections')::int,"
                    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),"
                    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database())"
                )
            ).one()
            return int(min(limit for limit in row if limit is not None and limit >= 0))
        case "mysql" | "mariadb":
            row = connection.execute(
                text("SELECT @@global.max_connections, @@session.max_user_connections")
            ).one()
            return int(min(limit for limit in row if limit))
        case _:
            return None
