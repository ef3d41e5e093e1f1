"""What operators ask of workers and handlers. Written here, read with each renewal of a lease.

Each function is one transaction. Nothing of it is in the hot table, and no claim looks at it: a
worker leaves out of its demand what it has been told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update

from celers_worker.core.orders import Hold, Orders, WorkerState
from celers_worker.store import sql
from celers_worker.store.schema import handlers, workers
from celers_worker.store.transaction import Transaction

#: What a person's words are cut to.
_LONGEST = 255


def read(rows: Sequence[Any]) -> Orders:
    """What the rows of a renewal say; see ``lease_statements.ORDERS``."""
    first = rows[0]
    known = first.wanted_state in set(WorkerState)
    return Orders(
        # A newer version may know more states than this one, which then stays as it is.
        state=WorkerState(first.wanted_state) if known else None,
        concurrency=first.wanted_concurrency,
        by=first.wanted_by,
        holds=tuple(
            Hold(
                name=row.handler,
                paused=bool(row.paused),
                open=bool(row.open),
                probe_in=None if row.probe_in is None else float(row.probe_in),
            )
            for row in rows
            if row.handler is not None
        ),
    )


# --- workers ---


def want_state(transaction: Transaction, ids: Sequence[str], state: WorkerState, by: str) -> int:
    """Ask the live workers with these *ids* for *state*; how many were asked.

    One that stops already is let go on with it.
    """
    return _want(
        transaction,
        ids,
        by,
        or_(workers.c.wanted_state.is_(None), workers.c.wanted_state != WorkerState.STOPPING),
        wanted_state=state.value,
    )


def want_concurrency(
    transaction: Transaction, ids: Sequence[str], concurrency: int, by: str
) -> int:
    """Ask the live workers with these *ids* to run so many tasks at once; how many were asked."""
    return _want(transaction, ids, by, wanted_concurrency=concurrency)


def _want(
    transaction: Transaction, ids: Sequence[str], by: str, *conditions: Any, **values: Any
) -> int:
    asked = transaction.connection.execute(
        update(workers)
        .where(workers.c.id.in_(ids), workers.c.expires_at > sql.now(), *conditions)
        .values(**values, wanted_by=by[:_LONGEST])
    ).rowcount
    transaction.nudge()
    return asked


# --- handlers ---


def pause(transaction: Transaction, handler: str, reason: str | None) -> None:
    """Stop every worker from claiming tasks of *handler*, from its next heartbeat on."""
    _know(transaction, handler)
    transaction.connection.execute(
        update(handlers)
        .where(handlers.c.name == handler)
        .values(
            paused_at=func.coalesce(handlers.c.paused_at, sql.now()),
            paused_reason=reason[:_LONGEST] if reason else None,
        )
    )
    transaction.nudge()


def resume(transaction: Transaction, handler: str) -> bool:
    """Free a handler: end its pause and close its circuit. False: it was not held."""
    freed = transaction.connection.execute(
        update(handlers)
        .where(
            handlers.c.name == handler,
            or_(handlers.c.paused_at.is_not(None), handlers.c.opened_at.is_not(None)),
        )
        .values(paused_at=None, paused_reason=None, **_CLOSED)
    )
    transaction.nudge()
    return freed.rowcount > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldHandler:
    """A handler whose tasks are held, as people look at it; ``probe_in`` is in seconds."""

    name: str
    paused_at: datetime | None
    paused_reason: str | None
    opened_at: datetime | None
    opened_reason: str | None
    probe_in: float | None
    prober: str | None


def held(transaction: Transaction) -> list[HeldHandler]:
    """The handlers that are held: paused, or their circuits open."""
    rows = transaction.connection.execute(
        select(handlers, (-sql.seconds_since(handlers.c.probe_at)).label("probe_in"))
        .where(or_(handlers.c.paused_at.is_not(None), handlers.c.opened_at.is_not(None)))
        .order_by(handlers.c.name)
    )
    return [
        HeldHandler(
            name=row.name,
            paused_at=row.paused_at,
            paused_reason=row.paused_reason,
            opened_at=row.opened_at,
            opened_reason=row.opened_reason,
            probe_in=None if row.probe_in is None else float(row.probe_in),
            prober=row.prober,
        )
        for row in rows
    ]


# --- circuits ---

_CLOSED = {"opened_at": None, "opened_reason": None, "probe_at": None, "prober": None}


def open_circuit(transaction: Transaction, handler: str, reason: str, rest: float) -> bool:
    """Hold a handler's tasks everywhere; False: another worker was first.

    After *rest* seconds one of them may be tried.
    """
    _know(transaction, handler)
    opened = transaction.connection.execute(
        update(handlers)
        .where(handlers.c.name == handler, handlers.c.opened_at.is_(None))
        .values(
            opened_at=sql.now(),
            opened_reason=reason[:_LONGEST],
            probe_at=sql.later(rest),
            prober=None,
        )
    )
    transaction.nudge()
    return opened.rowcount > 0


def take_probe(transaction: Transaction, handler: str, worker: str, rest: float) -> bool:
    """Let *worker* try one task of a handler whose circuit is open; False: it is not its turn.

    Nobody else has a turn for *rest* seconds, so that one that dies with it holds nobody up.
    """
    taken = transaction.connection.execute(
        update(handlers)
        .where(
            handlers.c.name == handler,
            handlers.c.opened_at.is_not(None),
            handlers.c.probe_at <= sql.now(),
        )
        .values(probe_at=sql.later(rest), prober=worker)
    )
    return taken.rowcount > 0


def close_circuit(transaction: Transaction, handler: str) -> bool:
    """Free a handler whose task has run well; False: its circuit was closed already.

    Whoever has the turn by then: the service answers. If it does not, it opens again.
    """
    closed = transaction.connection.execute(
        update(handlers)
        .where(handlers.c.name == handler, handlers.c.opened_at.is_not(None))
        .values(_CLOSED)
    )
    transaction.nudge()
    return closed.rowcount > 0


def _know(transaction: Transaction, handler: str) -> None:
    transaction.connection.execute(
        sql.insert_ignore(handlers).values(name=bindparam("of_handler")), {"of_handler": handler}
    )
