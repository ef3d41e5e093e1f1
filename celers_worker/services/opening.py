"""Opening: a worker's way to its database, which may be away, and may stay away."""

from __future__ import annotations

import asyncio

from celers_worker.core.errors import Unavailable
from celers_worker.core.events import Events, ServiceFailed, ServiceRecovered
from celers_worker.core.watch_events import PoolerSuspected
from celers_worker.services.service import recovery_pause
from celers_worker.store import Store, grants, rights

#: What ``fail_fast`` gives the database to answer, in seconds.
_FAST = 3.5


async def open_store(store: Store, events: Events, stop: asyncio.Event, *, fail_fast: bool) -> bool:
    """Open *store*, again and again while the database is away; False: *stop* was set meanwhile.

    *fail_fast*: raises Unavailable instead of trying again. Raises Refused or SchemaError if the
    database will not do until a person has acted.
    """
    stopped = asyncio.create_task(stop.wait())
    failures = 0
    try:
        while True:
            try:
                opened = await _once(store, stopped, _FAST if fail_fast else None)
            except Unavailable as error:
                if fail_fast:
                    raise
                failures += 1
                pause = recovery_pause(failures)
                events.emit(ServiceFailed("store", error, failures, pause))
                await asyncio.wait({stopped}, timeout=pause)
                continue
            if opened and store.sign_of_pooler is not None:
                events.emit(PoolerSuspected(store.name, store.sign_of_pooler))
            if failures and opened:
                events.emit(ServiceRecovered("store", failures))
            return opened
    finally:
        stopped.cancel()


async def _once(store: Store, stopped: asyncio.Task[bool], limit: float | None) -> bool:
    opening = asyncio.create_task(_opened(store))
    await asyncio.wait({opening, stopped}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if opening.done():
        opening.result()
        return True
    opening.cancel()
    await asyncio.wait({opening})
    if not stopped.done():
        raise Unavailable(f"{store.name} did not answer within {limit:g} s.")
    return False


async def _opened(store: Store) -> None:
    """Open *store*, and see that its user may run tasks: later each of them would be refused."""
    await store.open()
    await store.run(rights.check, grants.Role.WORKER)
