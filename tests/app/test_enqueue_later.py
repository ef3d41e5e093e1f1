"""``enqueue_at`` and ``enqueue_after``: a task by reference or by name, with a loop or without."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from celers_worker import Celers, Options
from celers_worker.core.errors import ConfigurationError
from celers_worker.store.direct import DirectStore
from tests.store.steps import live_row, live_rows

WHEN = datetime(2035, 5, 17, 8, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def send(app: Celers) -> Any:
    @app.task(queue="emails")
    async def send(user_id: int) -> None: ...

    return send


async def test_a_task_is_due_at_the_instant_given(
    app: Celers, direct: DirectStore, send: Any
) -> None:
    tasks = [
        await send.enqueue_at(WHEN, 1),
        send.enqueue_at_sync(WHEN, user_id=1),
        await app.enqueue_at(WHEN, "send", user_id=1),
        app.enqueue_at_sync(WHEN, "send", user_id=1),
    ]
    for task in tasks:
        row = live_row(direct, task.id)
        assert (row.scheduled_at, row.queue_name) == (WHEN.astimezone(UTC), "emails")
        assert row.payload == b'{"user_id":1}'


async def test_a_task_is_due_after_the_delay_given_by_the_databases_clock(
    app: Celers, direct: DirectStore, send: Any
) -> None:
    tasks = [
        await send.enqueue_after("10m", 1),
        send.enqueue_after_sync(600, user_id=1),
        await app.enqueue_after(timedelta(minutes=10), "send", user_id=1),
        app.enqueue_after_sync("600s", "send", user_id=1),
    ]
    for task in tasks:
        row = live_row(direct, task.id)
        assert row.scheduled_at - row.created_at == timedelta(minutes=10)


async def test_other_options_are_kept(app: Celers, direct: DirectStore, send: Any) -> None:
    task = await send.with_(priority=9).enqueue_at(WHEN, user_id=1)
    other = await app.enqueue_after("1h", "send", options=Options(priority=8), user_id=1)
    assert [live_row(direct, one.id).priority for one in (task, other)] == [9, 8]


BAD: dict[str, tuple[Callable[[Any, Celers], Any], str]] = {
    "a naive datetime": (
        lambda send, app: send.enqueue_at_sync(datetime(2035, 5, 17), user_id=1),
        "no time zone",
    ),
    "no datetime at all": (
        lambda send, app: app.enqueue_at_sync(None, "send", user_id=1),  # type: ignore[arg-type]
        "pass a datetime with a time zone",
    ),
    "a delay that is none": (
        lambda send, app: app.enqueue_after_sync("soon", "send", user_id=1),
        "delay is 'soon': write a number with a unit",
    ),
    "no delay at all": (
        lambda send, app: send.enqueue_after_sync(None, user_id=1),
        "delay is None",
    ),
    "a negative delay": (
        lambda send, app: send.enqueue_after_sync(-1, user_id=1),
        "between 0 and 100 years",
    ),
    "two answers to when": (
        lambda send, app: send.with_(delay="1h").enqueue_at_sync(WHEN, user_id=1),
        r"enqueue_at\(\) and the option delay both say when the task is due: choose one",
    ),
}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("bad", BAD)
async def test_what_is_no_time_is_refused_before_anything_is_written(
    app: Celers, direct: DirectStore, send: Any, bad: str
) -> None:
    call, problem = BAD[bad]
    with pytest.raises(ConfigurationError, match=problem):
        call(send, app)
    assert live_rows(direct) == []
