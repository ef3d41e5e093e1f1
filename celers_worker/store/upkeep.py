"""Who does the upkeep, and when its duties are due. One worker at a time, and no leader.

A lease in a row of the database, as the workers have: whoever finds it free or run out takes it. It
works alike on all three, and one who dies frees it by falling silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update

from celers_worker.store import sql
from celers_worker.store.schema import upkeep
from celers_worker.store.transaction import Transaction

_JANITOR = "janitor"
#: A duty that was begun and not finished is due again after so long.
_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What is known of a duty; of the janitor itself, who holds it and until when."""

    name: str
    holder: str | None
    expires_at: datetime | None
    done_at: datetime | None
    due_at: datetime | None


def hold(transaction: Transaction, holder: str, lease: timedelta) -> bool:
    """Take or keep the upkeep for *holder* for *lease*; False: somebody else has it."""
    free = or_(
        upkeep.c.holder.is_(None), upkeep.c.holder == holder, upkeep.c.expires_at <= sql.now()
    )
    later = sql.later(lease.total_seconds())
    values = {"holder": holder, "expires_at": later, "done_at": sql.now()}
    return _write(transaction, _JANITOR, free, values)


def release(transaction: Transaction, holder: str) -> None:
    """Let somebody else have the upkeep at once."""
    transaction.connection.execute(
        update(upkeep)
        .where(upkeep.c.name == _JANITOR, upkeep.c.holder == holder)
        .values(holder=None, expires_at=None)
    )


def begin(transaction: Transaction, names: Sequence[str]) -> list[str]:
    """Which of the duties *names* are due; they are the caller's, who tells ``finish`` of each.

    One that was never heard of is due in an hour: a worker that has just started has more to do.
    """
    later = {"due_at": sql.later(_AGAIN.total_seconds())}
    rows = transaction.connection.execute(
        select(upkeep.c.name, (upkeep.c.due_at <= sql.now()).label("is_due")).where(
            upkeep.c.name.in_(names)
        )
    ).all()
    known = {row.name for row in rows}
    for name in names:
        if name not in known:
            transaction.connection.execute(sql.insert_ignore(upkeep).values(name=name, **later))
    return [
        row.name
        for row in rows
        if row.is_due and _write(transaction, row.name, upkeep.c.due_at <= sql.now(), later)
    ]


def finish(transaction: Transaction, duty: str, every: timedelta) -> None:
    """*duty* is done, and due again after *every*."""
    transaction.connection.execute(
        update(upkeep)
        .where(upkeep.c.name == duty)
        .values(done_at=sql.now(), due_at=sql.later(every.total_seconds()))
    )


def duties(transaction: Transaction) -> list[Duty]:
    """What is known of the upkeep, by name."""
    rows = transaction.connection.execute(select(upkeep).order_by(upkeep.c.name))
    return [
        Duty(
            name=row.name,
            holder=row.holder,
            expires_at=row.expires_at,
            done_at=row.done_at,
            due_at=row.due_at,
        )
        for row in rows
    ]


def _write(
    transaction: Transaction,
    name: str,
    condition: ColumnElement[bool],
    values: Mapping[str, object],
) -> bool:
    """Change the row of *name* if *condition* holds; a row that is missing is made first."""
    change = update(upkeep).where(upkeep.c.name == name, condition).values(**values)
    if transaction.connection.execute(change).rowcount:
        return True
    known = select(upkeep.c.name).where(upkeep.c.name == name)
    if transaction.connection.execute(known).first() is not None:
        return False
    transaction.connection.execute(sql.insert_ignore(upkeep).values(name=name))
    return transaction.connection.execute(change).rowcount > 0
