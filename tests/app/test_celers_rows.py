"""The rows that CeleRS 0.2 writes, inserted by its own INSERT, run as their producer means it.

The golden rows G1 to G13; more of dependencies and chains in store/test_foreign_workflows.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from celers_worker import Celers, Context
from celers_worker.config import Config
from celers_worker.core.events import Events, TasksSettled
from celers_worker.core.outcome import Completed, Dead, Retry, Settlement
from celers_worker.core.task import DEFAULT_QUEUE, TaskState
from celers_worker.store import inspect
from celers_worker.store.direct import DirectStore
from celers_worker.worker import Worker
from tests.store.steps import live_row

INSERT = (
    "INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, metadata,"
    " created_at, scheduled_at) VALUES (:id, :name, :payload, 'pending', :priority,"
    " :max_retries, :metadata, {now}, {due})"
)
GROUP = "9c7f3c34-0b0f-4c1b-8d4e-000000000001"
OLD = "11111111-0b0f-4c1b-8d4e-000000000001"
STRATEGY = {
    "ExponentialWithJitter": {"base_delay_secs": 1, "multiplier": 2.0, "max_delay_secs": 60}
}
TRACE = {
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "trace_flags": "01",
}


def full_metadata(task_id: str, name: str) -> dict[str, Any]:
    """What every enqueue of CeleRS writes."""
    return {
        "queue": "emails",
        "enqueued_at": "2026-03-28T12:34:56.123456789+00:00",
        "id": task_id,
        "name": name,
        "state": "Pending",
        "created_at": "2026-03-28T12:34:56.123400Z",
        "updated_at": "2026-03-28T12:34:56.123400Z",
        "max_retries": 3,
        "timeout_secs": None,
        "priority": 0,
    }


class Producer:
    """Inserts as CeleRS does."""

    def __init__(self, direct: DirectStore) -> None:
        self._direct = direct
        sqlite = direct.url.get_backend_name() == "sqlite"
        # Colons would be binds.
        self._now = "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now')" if sqlite else "NOW()"

    def insert(
        self,
        name: str = "send_email",
        payload: bytes = b'{"to":"a@b.c","n":1}',
        *,
        due: str = "",
        priority: int = 0,
        max_retries: int = 3,
        whole: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> UUID:
        """A row; *metadata* is added to what CeleRS always writes, unless it is not *whole*."""
        task_id = str(uuid4())
        document = full_metadata(task_id, name) | (metadata or {}) if whole else metadata
        values = {
            "id": task_id,
            "name": name,
            "payload": payload,
            "priority": priority,
            "max_retries": max_retries,
            "metadata": None if document is None else json.dumps(document),
        }
        statement = INSERT.format(now=self._now, due=due or self._now)
        self._direct.run(
            lambda transaction: transaction.connection.execute(text(statement), values)
        )
        return UUID(task_id)


@pytest.fixture
def produce(direct: DirectStore) -> Callable[..., UUID]:
    return Producer(direct).insert


class Ran:
    """What handlers were given, and what came of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[UUID, Any]] = []
        self.contexts: dict[UUID, Context] = {}
        self.settlements: list[Settlement] = []

    def call_of(self, task_id: UUID) -> Any:
        [arguments] = [arguments for ran, arguments in self.calls if ran == task_id]
        return arguments

    def outcomes_of(self, task_id: UUID) -> list[Any]:
        return [one.outcome for one in self.settlements if one.task.id == task_id]


@pytest.fixture
def ran(app: Celers) -> Ran:
    seen = Ran()

    def note(context: Context, arguments: Any) -> None:
        seen.contexts[context.task.id] = context
        seen.calls.append((context.task.id, arguments))

    @app.task(name="send_email")
    async def send_email(to: str, n: int, *, context: Context) -> None:
        note(context, (to, n))

    @app.task(name="add")
    async def add(a: int = 0, b: int = 0, *, x: bool = False, context: Context) -> int:
        note(context, (a, b, x))
        return a + b

    @app.task(name="read")
    async def read(content: bytes, *, context: Context) -> None:
        note(context, content)

    @app.task(name="hang")
    async def hang(*, context: Context) -> None:
        note(context, ())
        await asyncio.sleep(60)

    @app.task(name="fail")
    async def fail(*, context: Context) -> None:
        note(context, ())
        raise ValueError("no")

    return seen


async def drain(app: Celers, ran: Ran, *queues: str) -> None:
    """Run what is due in *queues*, as a worker does, and nothing else."""
    config = app.client.config
    worker = msgspec.structs.replace(config.worker, queues=queues)
    events = Events()
    events.listen(TasksSettled, lambda event: ran.settlements.extend(event.settlements))
    await Worker(
        app, msgspec.structs.replace(config, worker=worker), until="drain", events=events
    ).run()


@pytest.fixture(autouse=True)
def configured(app: Celers, migrated_url: str) -> None:
    database = msgspec.structs.replace(Config().database, url=migrated_url)
    app.client.config = msgspec.structs.replace(Config(), database=database)


def completed(direct: DirectStore, task_id: UUID) -> bool:
    view = direct.run(inspect.task, task_id)
    return view is not None and view.state is TaskState.COMPLETED


async def test_g1_a_plain_task_runs_in_the_queue_of_its_metadata(app, ran, produce, direct):
    task_id = produce()
    await drain(app, ran, DEFAULT_QUEUE)
    assert ran.calls == []
    await drain(app, ran, "emails")
    assert ran.call_of(task_id) == ("a@b.c", 1)
    assert completed(direct, task_id)


@pytest.mark.parametrize("golden", ["g2", "g3"])
async def test_g2_g3_a_task_for_later_waits_for_its_column(app, ran, produce, direct, golden):
    backend = direct.url.get_backend_name()
    later = {
        "postgresql": "NOW() + interval '60 seconds'",
        "mysql": "NOW() + INTERVAL 60 SECOND",
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '+60 seconds')",
    }[backend]
    zone = {"postgresql": "+00", "mysql": "", "sqlite": ".000000"}[backend]
    at = f"2020-01-01 00\\:00\\:00{zone}"
    metadata = {"g2": {"scheduled_for": 1_774_701_296}, "g3": {"delay_seconds": 60}}[golden]
    waiting = produce(due=later, metadata=metadata)
    # Whatever the metadata says, the column decides: this one is due.
    due = produce(due=f"'{at}'", metadata=metadata)
    await drain(app, ran, "emails")
    assert [task_id for task_id, _ in ran.calls] == [due]
    row = live_row(direct, waiting)
    assert (row.state, row.queue_name) == ("pending", "emails")
    assert 50 < (row.scheduled_at - datetime.now(UTC)).total_seconds() <= 61


async def test_g4_priority_timeout_and_group(app, ran, produce, direct):
    low = produce()
    metadata = {"priority": 9, "timeout_secs": 30, "group_id": GROUP}
    high = produce(priority=9, metadata=metadata)
    await drain(app, ran, "emails")
    assert [task_id for task_id, _ in ran.calls] == [high, low]
    assert ran.contexts[high].task.timeout == 30.0
    [row] = direct.run(
        lambda transaction: transaction.connection.execute(
            text("SELECT group_id FROM celers_task_archive WHERE priority = 9")
        ).all()
    )
    assert row.group_id == GROUP


async def test_g4_the_timeout_of_the_metadata_ends_the_run(app, ran, produce):
    task_id = produce("hang", b"{}", max_retries=0, metadata={"timeout_secs": 0.2})
    await drain(app, ran, "emails")
    [outcome] = ran.outcomes_of(task_id)
    assert isinstance(outcome, Dead)
    assert outcome.failure.type == "TimeoutError"


async def test_g5_a_canvas_signature_has_positional_and_named_arguments(app, ran, produce):
    whole = produce("add", b'{"args":[1,2],"kwargs":{"x":true}}', metadata={"chord_id": GROUP})
    only = produce("add", b'{"args":[3]}')
    await drain(app, ran, "emails")
    assert ran.call_of(whole) == (1, 2, True)
    assert ran.call_of(only) == (3, 0, False)


async def test_g6_a_task_with_dependencies_runs_behind_them(app, ran, produce):
    needed = [produce(), produce()]
    waiting = produce(priority=9, metadata={"dependencies": [str(one) for one in needed]})
    await drain(app, ran, "emails")
    order = [task_id for task_id, _ in ran.calls]
    assert set(order[:2]) == set(needed)
    assert order[2:] == [waiting]


async def test_g7_the_retry_policy_of_the_metadata_says_how_long_to_wait(app, ran, produce, direct):
    policy = {"max_retries": 5, "strategy": STRATEGY}
    task_id = produce("fail", b"{}", max_retries=5, metadata={"retry_policy": policy})
    await drain(app, ran, "emails")
    [outcome] = ran.outcomes_of(task_id)
    assert isinstance(outcome, Retry)
    assert 0.5 <= outcome.delay.total_seconds() <= 1.0
    row = live_row(direct, task_id)
    assert (row.state, row.retry_count, row.max_retries) == ("pending", 1, 5)


async def test_g8_a_row_of_a_group_without_a_queue_is_of_the_default_one(app, ran, produce, direct):
    task_id = produce(whole=False, metadata={"group_id": "any text, and not a UUID at all, longer"})
    await drain(app, ran, "emails")
    assert ran.calls == []
    await drain(app, ran, DEFAULT_QUEUE)
    assert completed(direct, task_id)


@pytest.mark.parametrize(
    ("payload", "arguments"), [(b"null", (0, 0, False)), (b"[1,2]", (1, 2, False))]
)
async def test_g9_a_row_by_hand_has_no_metadata(app, ran, produce, payload, arguments):
    task_id = produce("add", payload, whole=False)
    await drain(app, ran, DEFAULT_QUEUE)
    assert ran.call_of(task_id) == arguments


async def test_g10_the_second_step_of_a_chain_is_due_when_the_first_has_completed(
    app, ran, produce, direct
):
    chain = {"chain_id": str(uuid4()), "chain_total": 2, "stop_on_failure": True}
    first = produce(metadata=chain | {"chain_position": 0})
    century = {
        "postgresql": "NOW() + INTERVAL '100 years'",
        "mysql": "NOW() + INTERVAL 100 YEAR",
        "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', 'now', '+100 years')",
    }[direct.url.get_backend_name()]
    step = {"chain_position": 1, "previous_task_id": str(first)}
    second = produce(due=century, metadata=chain | step)
    await drain(app, ran, "emails")
    assert [task_id for task_id, _ in ran.calls] == [first, second]


async def test_g11_the_trace_of_the_producer_reaches_the_handler(app, ran, produce):
    task_id = produce(metadata={"trace_context": TRACE})
    await drain(app, ran, "emails")
    expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert ran.contexts[task_id].traceparent == expected


async def test_g12_the_columns_win_over_the_metadata_of_an_earlier_life(app, ran, produce):
    old = {"id": OLD, "priority": 9, "max_retries": 99, "name": "another"}
    task_id = produce(metadata=old)
    other = produce(priority=1)
    await drain(app, ran, "emails")
    assert [ran_id for ran_id, _ in ran.calls] == [other, task_id]
    task = ran.contexts[task_id].task
    assert (task.id, task.name, task.priority, task.max_retries) == (task_id, "send_email", 0, 3)


async def test_g13_bytes_that_are_no_text_are_one_argument(app, ran, produce):
    content = b"\xff\xfe\x00\x01 not text"
    task_id = produce("read", content)
    await drain(app, ran, "emails")
    assert ran.call_of(task_id) == content
    assert isinstance(ran.outcomes_of(task_id)[0], Completed)
