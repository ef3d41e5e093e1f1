"""Results of tasks by their ids: waited for, as they come, or looked at as they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable
from contextlib import aclosing, closing
from datetime import timedelta
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from celers_worker.app.client import Client
from celers_worker.app.ended import TaskStatus
from celers_worker.core.duration import Duration, format_duration, parse_duration
from celers_worker.core.errors import ResultTimeout
from celers_worker.store import results
from celers_worker.store.results import Ending
from celers_worker.store.values import chunks

#: An id, or a handle on a task, which has one.
TaskId: TypeAlias = "UUID | str | Any"


def id_of(task: TaskId) -> UUID:
    """The id that is meant. Raises ValueError for text that is no UUID."""
    if isinstance(task, UUID):
        return task
    return UUID(task) if isinstance(task, str) else id_of(task.id)


async def result(client: Client, task: TaskId, timeout: Duration) -> Any:
    """Wait for one task and return what its handler returned; see ``EnqueuedTask.result``."""
    async with aclosing(wait_for(client, [task], timeout)) as statuses:
        return (await anext(statuses)).result()


def result_sync(client: Client, task: TaskId, timeout: Duration) -> Any:
    """``result`` without an event loop."""
    with closing(wait_for_sync(client, [task], timeout)) as statuses:
        return next(statuses).result()


async def wait_for(
    client: Client, tasks: Iterable[TaskId], timeout: Duration | None
) -> AsyncGenerator[TaskStatus, None]:
    """Yield each task as soon as it has ended. Raises ResultTimeout with those that have not."""
    left = dict.fromkeys(id_of(task) for task in tasks)
    limit = None if timeout is None else parse_duration(timeout, name="timeout")
    loop = asyncio.get_running_loop()
    end = None if limit is None else loop.time() + limit.total_seconds()
    waiting = await client.waiting()
    async with aclosing(waiting.endings(left)) as endings:
        while left:
            try:
                # Around one step only, for between two the caller's code runs.
                async with asyncio.timeout_at(end):
                    task_id, ending = await anext(endings)
            except TimeoutError:
                break
            del left[task_id]
            yield TaskStatus.of(task_id, ending, client.registry)
    if left and limit is not None:
        async for status in _last_look(client, left, limit):
            yield status


async def _last_look(
    client: Client, left: dict[UUID, None], limit: timedelta
) -> AsyncIterator[TaskStatus]:
    """Yield what has ended all the same, and raise ResultTimeout for the rest."""
    late = []
    for status in (await check_status(client, left)).values():
        if status.ended:
            yield status
        else:
            late.append(status)
    if late:
        _too_late(late, limit)


def wait_for_sync(
    client: Client, tasks: Iterable[TaskId], timeout: Duration | None
) -> Generator[TaskStatus, None, None]:
    """``wait_for`` without an event loop: it looks often at first, then twice a second.

    On PostgreSQL also when a task has ended.
    """
    left = list(dict.fromkeys(id_of(task) for task in tasks))
    limit = None if timeout is None else parse_duration(timeout, name="timeout")
    end = None if limit is None else time.monotonic() + limit.total_seconds()
    ended_pause = client.direct().ended_pause()
    with closing(ended_pause):
        pause = 0.01
        while left:
            statuses = check_status_sync(client, left)
            ended = [status for status in statuses.values() if status.ended]
            yield from ended
            left = [task_id for task_id in left if not statuses[task_id].ended]
            if left:
                rest = pause if end is None else min(pause, end - time.monotonic())
                if rest <= 0 and limit is not None:
                    _too_late([statuses[task_id] for task_id in left], limit)
                ended_pause.wait(rest)
                pause = 0.01 if ended else min(pause * 1.5, ended_pause.longest)


async def check_status(client: Client, tasks: Iterable[TaskId]) -> dict[UUID, TaskStatus]:
    """How tasks are, by id and in their order, without waiting."""
    ids = list(dict.fromkeys(id_of(task) for task in tasks))
    store = await client.store()
    found: dict[UUID, Ending] = {}
    for chunk in chunks(ids):
        found |= await store.run(results.endings_of, chunk)
    return {one: TaskStatus.of(one, found.get(one), client.registry) for one in ids}


def check_status_sync(client: Client, tasks: Iterable[TaskId]) -> dict[UUID, TaskStatus]:
    """``check_status`` without an event loop."""
    ids = list(dict.fromkeys(id_of(task) for task in tasks))
    store = client.direct()
    found: dict[UUID, Ending] = {}
    for chunk in chunks(ids):
        found |= store.run(results.endings_of, chunk)
    return {one: TaskStatus.of(one, found.get(one), client.registry) for one in ids}


def _too_late(late: list[TaskStatus], limit: timedelta) -> NoReturn:
    waited = format_duration(limit)
    ids = [status.id for status in late]
    if len(late) == 1:
        raise ResultTimeout(
            f"task {late[0].id} is still {late[0].state} after {waited}; it goes on.", ids=ids
        )
    raise ResultTimeout(
        f"{len(late):,} tasks have not ended after {waited}, {late[0].id} among them; they go on.",
        ids=ids,
    )
