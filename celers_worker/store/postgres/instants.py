"""Instants as asyncpg takes them off the wire: microseconds, without a datetime made of each."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from celers_worker.core.task import EPOCH, FIRST, LAST

_MICROSECOND = timedelta(microseconds=1)
_INFINITIES = {FIRST: -(2**63), LAST: 2**63 - 1}


async def send_instants_as_numbers(connection: Any) -> None:
    """Have *connection* return numbers, which ``datetime_of`` reads; it still takes datetimes."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=_encoded,
        decoder=itemgetter(0),  # a function of ours would cost as much as the datetime
        format="tuple",
    )


def _encoded(instant: datetime) -> tuple[int]:
    """As ``datetime_of`` reads it: its first and last stand for the infinities too."""
    if instant in _INFINITIES:
        return (_INFINITIES[instant],)
    return ((instant - EPOCH) // _MICROSECOND,)
