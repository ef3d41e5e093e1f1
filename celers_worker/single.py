"""One task, claimed, run and settled as a worker does it: for cron jobs, functions and consoles."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from celers_worker.app import Celers
from celers_worker.core.events import Events, TasksSettled
from celers_worker.core.names import check_queue_name
from celers_worker.core.outcome import Settlement
from celers_worker.worker import Worker


async def work_one(app: Celers, *, queues: Iterable[str] = ()) -> Settlement | None:
    """Run the next due task of *queues* (none: of all), and return what came of it.

    None: no task is due. The database is the application's; a worker appears in it for as long as
    this takes, with all that its configuration says. Raises StoreError if the database is away.
    """
    client = app.client
    config, events = client.with_own_url(client.config), client.events
    served = tuple(check_queue_name(queue) for queue in queues) or config.worker.queues
    worker = msgspec.structs.replace(config.worker, concurrency=1, prefetch=0, queues=served)
    settled: list[Settlement] = []
    told = Events()
    told.listen(TasksSettled, lambda event: settled.extend(event.settlements))
    try:
        await Worker(
            app,
            msgspec.structs.replace(config, worker=worker),
            until="once",
            events=told,
            fail_fast=True,
            upkeep=False,
        ).run()
    finally:
        client.config, client.events = config, events  # a worker has brought its own
    return settled[0] if settled else None
