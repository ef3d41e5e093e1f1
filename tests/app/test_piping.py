"""Streams into a queue, routes, and capacities, as an application uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from celers_worker import Celers
from celers_worker.app import DeclaredTask
from celers_worker.app.piping import BATCH, Piped
from celers_worker.config import Config
from celers_worker.config.tables import QueueSettings, RouteSettings
from celers_worker.core.errors import ConfigurationError, PayloadError, QueueFull
from celers_worker.core.payload import decode
from celers_worker.store.direct import DirectStore
from tests.store.steps import execute, live_row, live_rows
from tests.waiting import eventually


@pytest.fixture
def send(app: Celers) -> DeclaredTask[[int], None]:
    @app.task(queue="emails")
    def send(user_id: int) -> None: ...

    return send


def ids(direct: DirectStore) -> list[int]:
    return [decode(row.payload)["user_id"] for row in live_rows(direct)]


async def test_any_iterable_goes_into_a_queue_in_order(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    told: list[Piped] = []
    piped = await app.pipe(range(2 * BATCH + 5), send, progress=told.append)
    assert piped == Piped(added=2 * BATCH + 5)
    assert [one.added for one in told] == [BATCH, 2 * BATCH, 2 * BATCH + 5]
    assert ids(direct) == list(range(2 * BATCH + 5))


async def test_items_are_arguments_by_name_a_single_one_or_calls(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    async def items() -> AsyncIterator[object]:
        yield {"user_id": 1}
        yield 2
        yield send.with_(unique_key="k", priority=9).call(3)
        yield send.with_(unique_key="k").call(4)

    assert await app.pipe(items(), send) == Piped(added=3, existing=1)
    assert ids(direct) == [1, 2, 3]
    assert [row.priority for row in live_rows(direct)] == [0, 0, 9]


async def test_a_task_may_be_named(app: Celers, direct: DirectStore) -> None:
    assert await app.pipe([{"user_id": 1}], "elsewhere") == Piped(added=1)
    assert [row.task_name for row in live_rows(direct)] == ["elsewhere"]


async def test_a_stream_that_pauses_does_not_hold_back_what_it_brought(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    goes_on = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await goes_on.wait()
        yield 2

    piping = asyncio.create_task(app.pipe(items(), send, linger="10ms"))
    await eventually(lambda: ids(direct) == [1])
    goes_on.set()
    assert await piping == Piped(added=2)


async def test_no_more_than_two_batches_are_read_ahead(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    read = 0
    most = 0
    written = 0

    def items() -> Iterator[int]:
        nonlocal read, most
        for number in range(5 * BATCH):
            read += 1
            most = max(most, read - written)
            yield number

    def progress(piped: Piped) -> None:
        nonlocal written
        written = piped.added

    await app.pipe(items(), send, progress=progress)
    assert most <= 2 * BATCH


async def test_a_bad_item_is_refused_before_its_thousand_is_written(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    items = [{"user_id": number} for number in range(BATCH)] + [{"user": 1}]
    with pytest.raises(PayloadError, match="missing a required argument: 'user_id'"):
        await app.pipe(items, send)
    assert len(live_rows(direct)) == BATCH


async def test_the_end_of_a_broken_stream_reaches_its_caller(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("the stream broke")

    with pytest.raises(RuntimeError, match="the stream broke"):
        await app.pipe(items(), send)


async def test_a_full_queue_is_waited_for_if_that_is_wanted(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    app.queue_capacity("emails", 1)
    await send.enqueue(0)
    with pytest.raises(QueueFull):
        await app.pipe([1], send)
    piping = asyncio.create_task(app.pipe([1], send, wait="30s"))
    await asyncio.sleep(0)
    execute(direct, "DELETE FROM celers_tasks")
    assert await piping == Piped(added=1)
    assert ids(direct) == [1]


# --- capacity and routes ---


def configure(app: Celers, url: str, **changes: object) -> None:
    database = msgspec.structs.replace(Config().database, url=url)
    app.client.config = msgspec.structs.replace(Config(), database=database, **changes)


async def test_the_capacity_of_the_configuration_goes_before_that_of_the_code(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore, migrated_url: str
) -> None:
    app.queue_capacity("emails", 1)
    configure(app, migrated_url, queues={"emails": QueueSettings(capacity=2)})
    await send.enqueue(1)
    send.enqueue_sync(2)
    with pytest.raises(QueueFull, match="capacity is 2"):
        send.enqueue_sync(3)
    with pytest.raises(QueueFull):
        await app.enqueue_many([send.call(4)])
    with direct.engine.connect() as connection, pytest.raises(QueueFull):
        send.using(connection).enqueue_sync(5)


@pytest.mark.parametrize("capacity", [0, -1, True, "many", 1.5])
def test_a_capacity_is_a_whole_number(app: Celers, capacity: int) -> None:
    with pytest.raises(ConfigurationError, match="must be a whole number from 1"):
        app.queue_capacity("emails", capacity)


async def test_call_goes_before_route_and_route_before_declaration(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore, migrated_url: str
) -> None:
    app.route("send", "of_code")
    app.route("other.*", "others")
    routed = await send.enqueue(1)
    called = await send.with_(queue="of_call").enqueue(2)
    named = await app.enqueue("other.task")
    configure(app, migrated_url, routes={"se*": RouteSettings(queue="of_file")})
    configured = await send.enqueue(3)
    queues = [live_row(direct, one.id).queue_name for one in (routed, called, named, configured)]
    assert queues == ["of_code", "of_call", "others", "of_file"]
