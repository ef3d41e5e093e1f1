"""What an application puts around its enqueues, claims, runs, retries and settles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from celers_worker import (
    Celers,
    Context,
    Middleware,
    Retry,
    backoff,
)
from celers_worker.core import outcome as out
from celers_worker.core.errors import ConfigurationError, Unavailable
from celers_worker.core.events import Events, HookFailed
from celers_worker.core.middleware import (
    ClaimNext,
    Next,
    SettleNext,
    enqueuing,
    preparing,
    unsurrounded,
)
from celers_worker.core.task import Demand, NewTask, Task, TaskState, new_id
from celers_worker.services import hooks
from celers_worker.services.hooks import Hooks
from celers_worker.services.surroundings import Surroundings
from celers_worker.store.direct import DirectStore
from celers_worker.workflow import chain
from tests.services.crews import Seen, drain
from tests.services.desk import Desk
from tests.store.steps import live_rows

on_a_file = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


class Told(Middleware):
    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told

    def before_enqueue(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
        self.told.append(f"{self.name} enqueue")
        return tasks

    async def around_run(self, context: Context, call_next: Next) -> Any:
        self.told.append(f"{self.name} before")
        result = await call_next()
        self.told.append(f"{self.name} after")
        return result


@on_a_file
@pytest.mark.parametrize("runs", ["coroutine", "thread"])
async def test_the_first_middleware_is_the_outermost(app: Celers, runs: str) -> None:
    told: list[str] = []
    app.middleware(Told("first", told))
    app.middleware(Told("second", told))

    async def coroutine() -> None:
        told.append("handler")

    def thread() -> None:
        told.append("handler")

    declare = app.task(name="work")
    task = declare(coroutine) if runs == "coroutine" else declare(thread)
    await task.enqueue()
    await drain(app)
    assert told == [
        *("first enqueue", "second enqueue", "first before", "second before", "handler"),
        *("second after", "first after"),
    ]


@on_a_file
async def test_a_middleware_changes_what_is_enqueued_and_what_is_returned(app: Celers) -> None:
    class Tagged(Middleware):
        def before_enqueue(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
            return [
                NewTask(**{name: getattr(task, name) for name in NewTask.__struct_fields__})
                if task.metadata
                else NewTask(id=task.id, name=task.name, payload=task.payload, priority=7)
                for task in tasks
            ]

        async def around_run(self, context: Context, call_next: Next) -> Any:
            return [context.task.priority, await call_next()]

    app.middleware(Tagged())

    @app.task()
    async def work() -> Any:
        return "done"

    task = await work.enqueue()
    await drain(app)
    assert await task.result() == [7, "done"]


@on_a_file
async def test_a_middleware_that_refuses_or_loses_tasks_writes_nothing(
    app: Celers, direct: DirectStore
) -> None:
    class Strict(Middleware):
        def before_enqueue(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
            if tasks[0].priority:
                raise PermissionError("not you")
            return []

    app.middleware(Strict())

    @app.task()
    async def work() -> None: ...

    with pytest.raises(PermissionError):
        await work.with_(priority=1).enqueue()
    with pytest.raises(ValueError, match="return one for each"):
        work.enqueue_sync()
    assert live_rows(direct) == []


@on_a_file
async def test_hooks_that_raise_are_told_and_every_job_is_settled(app: Celers) -> None:
    # T20
    class Broken(Middleware):
        async def after_claim(self, tasks: Sequence[Task]) -> None:
            raise RuntimeError("claim")

        async def after_retry(self, task: Task, retry: out.Retry) -> None:
            raise RuntimeError("retry")

        async def after_settle(self, settlements: Sequence[out.Settlement]) -> None:
            raise RuntimeError("settle")

    app.middleware(Broken())

    @app.task()
    async def work(context: Context) -> None:
        if context.attempt == 1:
            raise Retry(after=0)

    task = await work.enqueue()
    worked = await drain(app)
    assert await task.result() is None
    assert [type(outcome) for outcome in worked.outcomes] == [out.Retry, out.Completed]
    told = {str(event.error) for event in worked.seen.of(HookFailed)}
    assert told == {"claim", "retry", "settle"}


class Around(Middleware):
    """Tells what it is around, and may break or forget to go on."""

    def __init__(self, told: list[Any], fault: str = "") -> None:
        self.told = told
        self.fault = fault

    @contextmanager
    def around_enqueue(self, tasks: Sequence[NewTask]) -> Iterator[None]:
        self.told.append(("enqueue", len(tasks)))
        yield
        self.told.append("enqueued")

    async def around_claim(self, demand: Demand, call_next: ClaimNext) -> object:
        await self._go("claim", call_next)
        return []

    async def around_settle(
        self, settlements: Sequence[out.Settlement], call_next: SettleNext
    ) -> object:
        await self._go("settle", call_next)
        return set()

    async def _go(self, what: str, call_next: Any) -> None:
        if self.fault == "raises before":
            raise RuntimeError(what)
        answer = [] if self.fault == "forgets" and what == "settle" else await call_next()
        if answer:
            self.told.append((what, len(answer)))
        if self.fault == "asks twice":
            assert await call_next() is answer
        if self.fault == "raises after":
            raise RuntimeError(what)


@on_a_file
@pytest.mark.parametrize("fault", ["", "forgets", "asks twice", "raises before", "raises after"])
async def test_what_is_around_claims_and_settles_loses_nothing(app: Celers, fault: str) -> None:
    told: list[Any] = []
    app.middleware(Around(told, fault))

    @app.task()
    async def work() -> int:
        return 7

    tasks = await app.enqueue_many(work.call() for _ in range(3))
    worked = await drain(app)
    assert [await task.result() for task in tasks] == [7, 7, 7]
    assert len(worked.outcomes) == 3
    assert told[:2] == [("enqueue", 3), "enqueued"]
    if fault in ("", "asks twice", "raises after"):
        assert ("claim", 3) in told
        assert sum(one[1] for one in told if one[0] == "settle") == 3
    raised = {str(event.error) for event in worked.seen.of(HookFailed)}
    assert raised == ({"claim", "settle"} if fault.startswith("raises") else set())


@on_a_file
async def test_who_does_not_go_on_with_a_claim_claims_nothing(app: Celers) -> None:
    class Closed(Middleware):
        open = False

        async def around_claim(self, demand: Demand, call_next: ClaimNext) -> object:
            return await call_next() if self.open else None

    closed = app.middleware(Closed())

    @app.task()
    async def work() -> None: ...

    task = await work.enqueue()
    await drain(app)
    assert await task.state() == TaskState.PENDING
    closed.open = True
    await drain(app)
    assert await task.state() == TaskState.COMPLETED


@on_a_file
async def test_an_outage_that_a_middleware_hides_is_an_outage(app: Celers) -> None:
    class Hiding(Middleware):
        async def around_claim(self, demand: Demand, call_next: ClaimNext) -> object:
            with suppress(Exception):
                return await call_next()
            return []

    async def away(worker: str, demand: Demand) -> list[Task]:
        raise Unavailable("the database is away")

    claim = Hooks(Events(), [Hiding()]).around_claims(away)
    with pytest.raises(Unavailable, match="is away"):
        await claim("worker", Demand(1))


@pytest.mark.parametrize("hangs", ["before", "after", "in the database"])
async def test_a_middleware_that_hangs_holds_nothing_up_for_ever(
    monkeypatch: pytest.MonkeyPatch, hangs: str
) -> None:
    monkeypatch.setattr(hooks, "_LONGEST", 0.01)
    seen = Seen(events := Events())
    asked = []

    class Hanging(Middleware):
        async def around_settle(
            self, settlements: Sequence[out.Settlement], call_next: SettleNext
        ) -> object:
            if hangs != "before":
                await call_next()
            return await asyncio.Event().wait()

    async def settle(worker: str, settlements: Sequence[out.Settlement]) -> set[UUID]:
        asked.append(worker)
        if hangs == "in the database":
            await asyncio.Event().wait()
        return set()

    around = Hooks(events, [Hanging()]).around_settles(settle)
    if hangs == "in the database":  # nobody knows what was written: it is asked again
        with pytest.raises(Unavailable, match="took over"):
            await around("worker", [])
    else:
        assert await around("worker", []) == set()
    assert asked == ["worker"]
    assert [type(event.error) for event in seen.of(HookFailed)] == [TimeoutError]


async def test_without_middleware_there_is_nothing_around() -> None:
    async def claim(worker: str, demand: Demand) -> list[Task]:
        return []

    async def settle(worker: str, settlements: Sequence[out.Settlement]) -> set[UUID]:
        return set()

    hooks = Hooks(Events(), [Middleware()])
    assert hooks.around_claims(claim) is claim
    assert hooks.around_settles(settle) is settle
    assert hooks.before_retries() is None


@on_a_file
async def test_a_middleware_decides_about_retries(app: Celers) -> None:
    class Deciding(Middleware):
        def before_retry(self, task: Task, retry: out.Retry) -> out.Retry | out.Dead:
            if task.retry_count == 0:
                return out.Retry(timedelta(0), retry.failure)
            if task.name == "broken":
                raise RuntimeError("undecided")
            return out.Dead("twice is enough", retry.failure)

    app.middleware(Deciding())

    @app.task(backoff=backoff.fixed("1h"))
    async def work() -> None:
        raise ValueError("no")

    @app.task(backoff=backoff.fixed("1h"))
    async def broken() -> None:
        raise ValueError("no")

    await work.enqueue()
    left = await broken.enqueue()
    worked = await drain(app)
    dead = [outcome for outcome in worked.outcomes if isinstance(outcome, out.Dead)]
    assert [one.reason for one in dead] == ["twice is enough"]
    assert [str(event.error) for event in worked.seen.of(HookFailed)] == ["undecided"]
    assert await left.state() == TaskState.PENDING


@on_a_file
@pytest.mark.parametrize("keeps_ids", [True, False])
async def test_the_steps_of_a_workflow_pass_the_middleware_too(
    app: Celers, direct: DirectStore, keeps_ids: bool
) -> None:
    told: list[Any] = []

    class Urgent(Around):
        def before_enqueue(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
            return [
                structs.replace(task, priority=7, id=task.id if keeps_ids else new_id())
                for task in tasks
            ]

    app.middleware(Urgent(told))

    @app.task()
    async def work() -> None: ...

    flow = app.workflow(chain(work.call(), work.call()))
    if keeps_ids:
        flow.enqueue_sync()
        assert [row.priority for row in live_rows(direct)] == [7, 7]
        assert told == [("enqueue", 2), "enqueued"]
    else:
        with pytest.raises(ValueError, match=r"keep task\.id"):
            await flow.enqueue()
        assert live_rows(direct) == []


async def test_a_middleware_that_raises_around_a_run_is_the_runs_failure(desk: Desk) -> None:
    class Broken(Middleware):
        async def around_run(self, context: Context, call_next: Next) -> Any:
            await call_next()
            raise RuntimeError("afterwards")

    outcome = await desk.run_within(Surroundings(middleware=[Broken()]))
    assert isinstance(outcome, out.Retry)
    assert outcome.failure.message == "afterwards"


def test_what_has_no_hook_costs_nothing() -> None:
    app = Celers()
    app.middleware(Middleware())

    @app.task()
    async def work() -> None: ...

    assert preparing(app.extensions.middleware) is None
    assert enqueuing(app.extensions.middleware) is unsurrounded
    assert Surroundings(middleware=app.extensions.middleware).of(work.handler) is work.handler
    with pytest.raises(ConfigurationError, match="no middleware"):
        app.middleware(print)  # type: ignore[type-var]  # that is the test
