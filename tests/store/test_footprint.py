"""What a queue leaves behind: read, and erased without a trace in any other queue."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from celers_worker.core.outcome import Completed
from celers_worker.core.task import Demand, new_id
from celers_worker.store import Store, control, footprint, maintenance
from celers_worker.store.direct import DirectStore
from celers_worker.store.footprint import Footprint
from celers_worker.store.schema import metadata
from tests.store import steps
from tests.store.steps import new_task, new_tasks

QUEUE = "celers-bench-1"
RESULT = Completed(b"7")


def contents(direct: DirectStore) -> dict[str, list[Any]]:
    """Every row of every table."""
    return direct.run(
        lambda transaction: {
            table.name: sorted(map(str, transaction.connection.execute(select(table))))
            for table in metadata.sorted_tables
        }
    )


def erase_all(direct: DirectStore, of: Footprint, limit: int) -> int:
    """How many batches it took."""
    batches = 0
    while direct.run(footprint.erase, of, limit=limit) is not None:
        batches += 1
    return batches


async def fill(store: Store, queue: str) -> None:
    """Five tasks: with a result, to be retried, dead, running, and one that waits."""
    await store.enqueue(new_tasks(5, queue=queue))
    store.levels.forget()  # it need not look at new queues at once
    *ended, _running = await store.claim(steps.WORKER, Demand(total=4, queues={queue: 4}))
    for task, outcome in zip(ended, (RESULT, steps.BROKEN, steps.GONE_WRONG), strict=True):
        assert await steps.settle(store, task, outcome)


async def test_a_queue_is_erased_and_no_other_row_is_touched(
    store: Store, direct: DirectStore
) -> None:
    await fill(store, "emails")
    direct.run(control.pause, "emails", "the relay is down")
    direct.run(maintenance.register, steps.worker_card("w-1", queues=["emails"]), steps.LEASE)
    direct.run(maintenance.register, steps.worker_card("w-2", queues=[]), steps.LEASE)
    both = steps.worker_card("w-3", queues=["emails", QUEUE])
    direct.run(maintenance.register, both, steps.LEASE)
    await store.enqueue(new_tasks(1, queue="emails", delay=timedelta(days=1)))
    before = contents(direct)

    first = new_id()
    direct.run(footprint.mark, QUEUE)
    direct.run(maintenance.register, steps.worker_card("w-4", queues=[QUEUE]), steps.LEASE)
    await fill(store, QUEUE)
    assert contents(direct) != before

    of = Footprint(QUEUE, first, new_id())
    assert erase_all(direct, of, limit=2) == 3
    direct.run(footprint.forget, QUEUE)
    assert contents(direct) == before


async def test_only_the_ids_of_the_span_are_erased(store: Store, direct: DirectStore) -> None:
    earlier, first, last, later = new_tasks(4, queue=QUEUE)
    await store.enqueue([earlier, first, last, later])
    assert erase_all(direct, Footprint(QUEUE, first.id, last.id), limit=10) == 1
    assert steps.ids(steps.live_rows(direct)) == [earlier.id, later.id]


async def test_what_workers_completed_is_told_by_worker_and_between_two_instants(
    store: Store, direct: DirectStore
) -> None:
    first = new_id()
    await store.enqueue([*new_tasks(3, queue=QUEUE), new_task(queue="emails")])
    for worker, room in (("w-1", 1), ("w-2", 3)):
        for task in await store.claim(worker, steps.any_queue(room)):
            assert await steps.settle(store, task, worker=worker)
    of = Footprint(QUEUE, first, new_id())
    shares = sorted(direct.run(footprint.shares, of), key=lambda share: share.tasks)
    assert [share.tasks for share in shares] == [1, 2]
    one, two = shares
    assert one.began <= one.ended <= two.began <= two.ended
    assert direct.run(footprint.completed, of, two.began, two.ended) in (1, 2)
    assert direct.run(footprint.completed, of, two.ended, two.ended) == 0


async def test_results_are_read_by_task(store: Store, direct: DirectStore) -> None:
    done = await steps.enqueue_and_claim(store)
    assert await steps.settle(store, done, RESULT)
    [waiting] = await store.enqueue([new_task()])
    assert direct.run(footprint.values_of, [done.id, waiting.id]) == {done.id: 7}


def test_marks_are_found_by_their_beginning_until_they_are_forgotten(direct: DirectStore) -> None:
    assert direct.run(footprint.marked, "celers-bench-") == []
    for queue in ("celers-bench-2", "celers-bench-1", "celers_bench-3", "emails"):
        direct.run(footprint.mark, queue)
    assert direct.run(footprint.marked, "celers-bench-") == ["celers-bench-1", "celers-bench-2"]
    direct.run(footprint.forget, "celers-bench-1")
    assert direct.run(footprint.marked, "celers-bench-") == ["celers-bench-2"]
    direct.run(footprint.ping)


@pytest.mark.parametrize("limit", [1, 1_000])
async def test_an_empty_span_has_nothing_to_erase(
    direct: DirectStore, store: Store, limit: int
) -> None:
    await store.enqueue([new_task(queue="emails")])
    assert direct.run(footprint.erase, Footprint(QUEUE, new_id(), new_id()), limit=limit) is None
