"""A worker that stops holds its leases until its last run has ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec

from celers_worker import Celers, testing
from celers_worker.core.events import LeasesLost, TasksReaped
from celers_worker.store import make_direct_store, survey
from celers_worker.worker import Worker
from tests.services.crews import Seen
from tests.waiting import eventually

_LEASE = timedelta(seconds=2)


async def test_a_worker_that_drains_for_longer_than_its_lease_keeps_it(tmp_path: Path) -> None:
    # H4
    app, gate = Celers(), asyncio.Event()
    config = testing.config(tmp_path)
    worker = msgspec.structs.replace(
        config.worker,
        lease=_LEASE,
        heartbeat_interval=timedelta(milliseconds=200),
        reap_interval=timedelta(milliseconds=200),
        grace=timedelta(minutes=1),
    )
    app.client.config = msgspec.structs.replace(config, worker=worker)

    @app.task()
    async def work() -> int:
        await gate.wait()
        return 7

    task = await work.enqueue()
    with make_direct_store(config.database.url) as direct:

        def card() -> survey.WorkerView | None:
            found = [one for one in direct.run(survey.list_workers) if one.running == 1]
            return found[0] if found else None

        async with Worker(app, app.client.config) as draining:
            seen = Seen(draining.events)
            before = await eventually(card)
            draining.stop()

            def outlived() -> bool:
                """Whether it has shown a sign of life a lease and a half after it was stopped."""
                now = card()
                assert now is not None, "it has no row any more"
                assert now.state == "stopping"
                return now.heartbeat_at - before.heartbeat_at > 1.5 * _LEASE

            await eventually(outlived, within=15)
            gate.set()
            ending = await draining.ended()
    assert (ending.released, ending.abandoned) == (0, 0)
    assert await task.result(timeout=1) == 7
    assert not seen.of(LeasesLost)
    assert not seen.of(TasksReaped)
    await app.close()
