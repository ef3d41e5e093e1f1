from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from msgspec.json import decode

from celers_worker import Celers, Context, Options
from celers_worker.app.piping import BATCH
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.events import Events, TasksEnqueued
from celers_worker.core.task import TaskState
from celers_worker.store.direct import DirectStore
from tests.store.steps import live_row, live_rows


def arguments(direct: DirectStore, task_id: UUID) -> Any:
    return decode(live_row(direct, task_id).payload)


# --- by reference ---


async def test_a_task_is_enqueued_by_calling_its_handlers_enqueue(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(queue="emails", priority=7, max_retries=5)
    async def send(user_id: int, subject: str = "hello") -> None: ...

    task = await send.enqueue(1, subject="welcome")
    row = live_row(direct, task.id)
    assert (row.task_name, row.queue_name, row.priority, row.max_retries) == (
        "send",
        "emails",
        7,
        5,
    )
    assert row.state == TaskState.PENDING
    assert arguments(direct, task.id) == {"user_id": 1, "subject": "welcome"}
    assert not task.existing


async def test_arguments_travel_by_name_however_they_were_passed(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    def send(user_id: int, *, subject: str = "hello", **more: object) -> None: ...

    first = await send.enqueue(1)
    second = await send.enqueue(user_id=1, extra=[1, None, {"a": True}])
    assert arguments(direct, first.id) == {"user_id": 1}
    assert arguments(direct, second.id) == {"user_id": 1, "extra": [1, None, {"a": True}]}


async def test_the_context_is_no_argument_of_the_producer(app: Celers, direct: DirectStore) -> None:
    @app.task()
    async def send(context: Context, user_id: int) -> None: ...

    task = await send.enqueue(user_id=1)
    assert arguments(direct, task.id) == {"user_id": 1}
    with pytest.raises(PayloadError, match="context"):
        await send.enqueue(user_id=1, context="mine")  # type: ignore[call-arg]  # that is the test


async def test_a_script_without_an_event_loop_enqueues_too(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(queue="emails")
    def send(user_id: int) -> None: ...

    task = send.enqueue_sync(user_id=1)
    assert live_row(direct, task.id).queue_name == "emails"
    assert task.state_sync() is TaskState.PENDING


async def test_a_handler_stays_a_function_that_can_be_called(app: Celers) -> None:
    @app.task()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @app.task()
    async def later(a: int) -> int:
        return a

    assert add(1, b=2) == 3
    assert await later(4) == 4
    assert add.__doc__ == "Add two numbers."
    assert add.__name__ == add.name == "add"
    assert "add" in repr(add)


async def test_a_handler_may_be_called_something_else_than_its_function(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(name="shop.send:v2")
    def send() -> None: ...

    task = await send.enqueue()
    assert live_row(direct, task.id).task_name == "shop.send:v2"


# --- by name ---


async def test_a_producer_without_the_code_enqueues_by_name(
    app: Celers, direct: DirectStore
) -> None:
    task = await app.enqueue("send", user_id=1)
    row = live_row(direct, task.id)
    assert (row.task_name, row.queue_name, row.priority, row.max_retries) == (
        "send",
        "default",
        0,
        3,
    )
    other = app.enqueue_sync("send", options=Options(queue="emails"), name="ada")
    assert live_row(direct, other.id).queue_name == "emails"
    assert arguments(direct, other.id) == {"name": "ada"}


async def test_a_name_that_is_registered_here_has_its_arguments_checked(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(queue="emails")
    def send(user_id: int) -> None: ...

    with pytest.raises(PayloadError, match=r"send\(user_id: 'int'\)"):
        await app.enqueue("send", user=1)
    with pytest.raises(PayloadError, match="missing a required argument: 'user_id'"):
        app.enqueue_sync("send")
    assert not live_rows(direct)
    task = await app.enqueue("send", user_id=1)
    assert live_row(direct, task.id).queue_name == "emails"


# --- options ---


async def test_options_go_before_what_the_handler_declares(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(queue="emails", priority=1, max_retries=1)
    def send() -> None: ...

    task = await send.with_(
        queue="urgent",
        priority=-5,
        max_retries=0,
        timeout="90s",
        expires="1h",
        unique_key="welcome:1",
        fingerprint="user:1",
        metadata={"request": "abc"},
    ).enqueue()
    row = live_row(direct, task.id)
    assert (row.queue_name, row.priority, row.max_retries) == ("urgent", -5, 0)
    assert (row.timeout, row.unique_key, row.fingerprint) == (90.0, "welcome:1", "user:1")
    assert row.expires_at - row.created_at == timedelta(hours=1)
    assert row.metadata == {"request": "abc"}


async def test_options_add_up_and_leave_the_task_as_it_was(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    def send() -> None: ...

    both = send.with_(priority=5).with_(queue="urgent")
    row = live_row(direct, (await both.enqueue()).id)
    assert (row.priority, row.queue_name) == (5, "urgent")
    row = live_row(direct, (await send.enqueue()).id)
    assert (row.priority, row.queue_name) == (0, "default")


@pytest.mark.parametrize("delay", ["10m", 600, timedelta(minutes=10)], ids=str)
async def test_a_delay_counts_from_the_databases_now(
    app: Celers, direct: DirectStore, delay: Any
) -> None:
    @app.task()
    def send() -> None: ...

    row = live_row(direct, (await send.with_(delay=delay).enqueue()).id)
    assert row.scheduled_at - row.created_at == timedelta(minutes=10)


async def test_an_instant_is_kept_whatever_its_time_zone(app: Celers, direct: DirectStore) -> None:
    @app.task()
    def send() -> None: ...

    at = datetime(2040, 2, 29, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    row = live_row(direct, (await send.with_(at=at).enqueue()).id)
    assert row.scheduled_at == at
    row = live_row(direct, (await send.with_(at=datetime(1999, 1, 1, tzinfo=UTC)).enqueue()).id)
    assert row.scheduled_at.year == 1999, "what is past is due now"


async def test_the_configuration_of_a_handler_goes_before_its_declaration(
    app: Celers, direct: DirectStore
) -> None:
    from celers_worker.config import load_config

    @app.task(max_retries=1)
    def send() -> None: ...

    flags = {"database.url": app.client.url, "handlers.send.max_retries": 9}
    app.client.config = load_config(environment={}, flags=flags).config
    assert live_row(direct, (await send.enqueue()).id).max_retries == 9
    assert live_row(direct, (await send.with_(max_retries=2).enqueue()).id).max_retries == 2


async def test_a_key_that_a_live_task_has_names_that_task(app: Celers, direct: DirectStore) -> None:
    @app.task()
    def send(user_id: int) -> None: ...

    once = send.with_(unique_key="welcome:1")
    first = await once.enqueue(user_id=1)
    again = await once.enqueue(user_id=2)
    in_a_script = once.enqueue_sync(user_id=3)
    assert (first.existing, again.existing, in_a_script.existing) == (False, True, True)
    assert first.id == again.id == in_a_script.id
    assert len(live_rows(direct)) == 1
    assert arguments(direct, first.id) == {"user_id": 1}
    await first.cancel()
    assert not (await once.enqueue(user_id=4)).existing, "a task that has ended frees its key"


async def test_fifty_producers_at_once_with_one_key_add_one_task(
    app: Celers, direct: DirectStore
) -> None:
    # T15
    @app.task()
    def send() -> None: ...

    once = send.with_(unique_key="only")
    handles = await asyncio.gather(*(once.enqueue() for _ in range(50)))
    assert len({handle.id for handle in handles}) == 1
    assert sum(not handle.existing for handle in handles) == 1
    assert len(live_rows(direct)) == 1


# --- many ---


@dataclass
class Producer:
    app: Celers

    def __post_init__(self) -> None:
        @self.app.task()
        def count(number: float) -> None: ...

        self.count = count

    async def slowly(self, numbers: Any) -> AsyncIterator[Any]:
        for number in numbers:
            yield self.count.call(number)


@pytest.mark.parametrize("kind", ["list", "generator", "async iterable", "without a loop"])
async def test_many_tasks_are_enqueued_in_order_and_their_handles_come_back_in_order(
    app: Celers, direct: DirectStore, kind: str
) -> None:
    producer = Producer(app)
    numbers = range(2_500)
    match kind:
        case "list":
            handles = await app.enqueue_many([producer.count.call(one) for one in numbers])
        case "generator":
            handles = await app.enqueue_many(producer.count.call(one) for one in numbers)
        case "async iterable":
            handles = await app.enqueue_many(producer.slowly(numbers))
        case _:
            handles = app.enqueue_many_sync(producer.count.call(one) for one in numbers)
    rows = live_rows(direct)
    assert [row.id for row in rows] == [handle.id for handle in handles]
    assert [decode(row.payload)["number"] for row in rows] == list(numbers)


@pytest.mark.parametrize("sync", [False, True])
async def test_a_bad_task_among_many_keeps_its_thousand_from_being_written(
    app: Celers, direct: DirectStore, sync: bool
) -> None:
    producer = Producer(app)

    def calls() -> Any:
        for number in range(2_500):
            yield producer.count.call(float("nan") if number == 1_700 else number)

    async def enqueue() -> None:
        if sync:
            app.enqueue_many_sync(calls())
        else:
            await app.enqueue_many(calls())

    with pytest.raises(PayloadError, match=r"args\.number is nan"):
        await enqueue()
    rows = live_rows(direct)
    assert len(rows) == BATCH
    assert [decode(row.payload)["number"] for row in rows] == list(range(BATCH))


async def test_nothing_is_written_for_no_tasks_at_all(app: Celers, direct: DirectStore) -> None:
    assert await app.enqueue_many([]) == []
    assert app.enqueue_many_sync(()) == []
    assert not live_rows(direct)


async def test_tasks_with_keys_among_many_name_the_live_ones(
    app: Celers, direct: DirectStore
) -> None:
    # T27
    producer = Producer(app)
    first = await producer.count.with_(unique_key="one").enqueue(1)
    handles = await app.enqueue_many(
        [
            producer.count.call(0),
            producer.count.with_(unique_key="one").call(2),
            producer.count.with_(unique_key="two").call(3),
        ]
    )
    assert [handle.existing for handle in handles] == [False, True, False]
    assert handles[1].id == first.id
    assert len(live_rows(direct)) == 3


# --- declarations ---


def test_two_handlers_of_one_name_are_refused_and_both_places_named() -> None:
    app = Celers()

    @app.task()
    def send() -> None: ...

    with pytest.raises(ConfigurationError) as refused:

        @app.task(name="send")
        def other() -> None: ...

    message = str(refused.value)
    assert message.startswith("two handlers are called 'send': ")
    assert message.count("test_enqueue.py:") == 2
    assert "@app.task(name=" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queue": "no blanks"}, "cannot name a queue"),
        ({"name": "9lives"}, "cannot name a task"),
        ({"priority": 2**31}, "priority"),
        ({"max_retries": -1}, "max_retries"),
        ({"timeout": 0}, "timeout"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"runs": "procces"}, "runs"),
        ({"runs": "async"}, "no coroutine function"),
        ({"retry_on": "ValueError"}, "no exception class"),
        ({"dead_on": [ValueError, 3]}, "no exception class"),
    ],
    ids=str,
)
def test_a_wrong_declaration_is_refused_where_it_stands(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):

        @Celers().task(**options)
        def send() -> None: ...


def test_a_coroutine_cannot_run_in_a_thread() -> None:
    with pytest.raises(ConfigurationError, match="is a coroutine function"):

        @Celers().task(runs="thread")
        async def send() -> None: ...


def test_positional_only_parameters_are_refused_because_arguments_travel_by_name() -> None:
    with pytest.raises(ConfigurationError, match="positional-only"):

        @Celers().task()
        def send(user_id: int, /) -> None: ...


async def test_arguments_without_names_are_refused(app: Celers, direct: DirectStore) -> None:
    @app.task()
    def send(*users: int) -> None: ...

    with pytest.raises(PayloadError, match=r"so \*users cannot"):
        await send.enqueue(1, 2)
    assert not live_rows(direct)


# --- what goes around it ---


async def test_an_application_can_be_told_of_what_it_enqueues(app: Celers) -> None:
    producer = Producer(app)
    app.client.events = Events()
    told: list[TasksEnqueued] = []
    app.client.events.listen(TasksEnqueued, told.append)
    await producer.count.with_(queue="other").enqueue(1)
    await app.enqueue_many(producer.count.call(one) for one in range(3))
    app.enqueue_sync("unknown")
    assert [dict(event.counts) for event in told] == [
        {("other", "count"): 1},
        {("default", "count"): 3},
        {("default", "unknown"): 1},
    ]


def test_an_application_in_many_event_loops_has_a_store_for_each(
    migrated_url: str, direct: DirectStore
) -> None:
    app = Celers(migrated_url)

    async def once() -> None:
        await app.enqueue("send")
        await app.close()

    for _ in range(3):
        asyncio.run(once())
    assert len(live_rows(direct)) == 3


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_importing_the_package_does_not_load_the_database_layer(migrated_url: str) -> None:
    program = "import sys, celers_worker; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
