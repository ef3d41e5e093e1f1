"""What handlers log is kept with their tasks, on every database."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import structlog
from sqlalchemy import text

from celers_worker import Celers, Context, backoff, testing
from celers_worker.core.task import TaskState
from celers_worker.core.watch_events import RunLogsLost
from celers_worker.observe.kept_lines import keeping
from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs
from celers_worker.observe.logs import task_log
from celers_worker.services.crew import Crew, Work
from celers_worker.services.host import Offers
from celers_worker.store import inspect, make_store, pruning, run_logs
from celers_worker.store.direct import DirectStore
from celers_worker.store.run_logs import KeptLog
from tests.services.crews import Staff, configured
from tests.waiting import eventually


class Hosted(Staff):
    """Services whose handlers have a context with everything."""

    def __init__(self, app: Celers, url: str, **settings: object) -> None:
        config = configured(url, **settings)
        super().__init__(app, config, make_store(url, Staff.options(config)))
        self.lost: list[RunLogsLost] = []
        self.events.listen(RunLogsLost, self.lost.append)
        self.crew = Crew.built(
            Work(
                config=config,
                events=self.events,
                store=self.store,
                registry=app.registry,
                counted=False,
                offers=Offers(
                    enqueue=app.client.enqueue, enqueue_sync=app.client.enqueue_sync, log=task_log
                ),
            )
        )


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # As Python begins: a worker that ran in this process before may have left its own.
    root.handlers[:] = [one for one in handlers if not getattr(one, "keeps_lines", False)]
    root.setLevel(logging.WARNING)
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def app() -> Celers:
    return Celers()


@pytest.fixture
async def staff(app: Celers, migrated_url: str) -> AsyncIterator[Hosted]:
    hosted = Hosted(app, migrated_url)
    await hosted.store.open()
    await hosted.enter()
    yield hosted
    await hosted.close()


def logs(direct: DirectStore, task_id: object) -> list[KeptLog]:
    return direct.run(run_logs.logs_of, task_id)  # type: ignore[arg-type]


def texts(log: KeptLog) -> list[str]:
    return [line.text for line in (*log.written.first, *log.written.last)]


async def ended(staff: Hosted) -> None:
    await eventually(lambda: staff.crew.settler.backlog > 0)
    await staff.crew.settler.flush(5)


async def test_all_ways_to_log_are_kept_in_order_with_the_attempt(
    app: Celers, staff: Hosted, direct: DirectStore
) -> None:
    @app.task(name="work", max_retries=1, backoff=backoff.fixed(0))
    async def work(context: Context) -> None:
        context.log.info("begun", customer=7)
        structlog.get_logger().warning("from structlog")
        await asyncio.gather(asyncio.sleep(0), child())
        logging.getLogger("shop").error("from %s", "the library")
        if context.attempt == 1:
            raise ValueError("no")

    async def child() -> None:
        structlog.get_logger().info("from a task of the handler's")

    configure_logs("info", "json", io.StringIO())
    adopt_foreign_logs("info")
    with keeping():
        [added] = await staff.store.enqueue([work.call().task])
        for _ in range(2):
            await eventually(staff.claim)
            await ended(staff)
    assert staff.lost == []
    first, second = logs(direct, added.id)
    wanted = [
        "begun customer=7",
        "from structlog",
        "from a task of the handler's",
        "from the library logger=shop",
    ]
    assert texts(first) == texts(second) == wanted
    assert [line.level for line in first.written.first] == ["info", "warning", "info", "error"]
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.worker == staff.crew.identity.id
    assert first.lease < second.lease


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_handlers_in_threads_log_to_their_own_tasks(
    app: Celers, staff: Hosted, direct: DirectStore
) -> None:
    @app.task(name="work")
    def work(number: int, context: Context) -> None:
        logging.getLogger("shop").warning("number %d", number)
        context.log.info("number", number=number)

    with keeping():
        added = await staff.store.enqueue([work.call(number).task for number in range(30)])
        await staff.claim()
        await eventually(lambda: not staff.crew.runner.runs)
        await staff.crew.settler.flush(5)
    for number, one in enumerate(added):
        [log] = logs(direct, one.id)
        assert texts(log) == [f"number {number}", f"number number={number}"]


async def test_a_heartbeat_writes_what_a_long_run_has_logged(
    app: Celers, staff: Hosted, direct: DirectStore
) -> None:
    go_on = asyncio.Event()

    @app.task(name="work")
    async def work(context: Context) -> None:
        context.log.info("one")
        await go_on.wait()
        context.log.info("two")

    [added] = await staff.store.enqueue([work.call().task])
    [task] = await staff.claim()
    await eventually(lambda: staff.crew.runner.runs[task.id].context.log_lines is not None)
    assert logs(direct, added.id) == []
    await staff.crew.heartbeat.tick()
    [log] = logs(direct, added.id)
    assert texts(log) == ["one"]
    go_on.set()
    await ended(staff)
    [log] = logs(direct, added.id)
    assert texts(log) == ["one", "two"]


async def test_without_a_line_nothing_is_written(
    app: Celers, staff: Hosted, direct: DirectStore
) -> None:
    @app.task(name="work")
    async def work(context: Context) -> None: ...

    [added] = await staff.store.enqueue([work.call().task])
    await staff.claim()
    await ended(staff)
    assert logs(direct, added.id) == []
    view = direct.run(inspect.task, added.id)
    assert view is not None
    assert view.state is TaskState.COMPLETED


async def test_a_log_that_cannot_be_stored_keeps_no_task_from_its_end(
    app: Celers, staff: Hosted, direct: DirectStore
) -> None:
    @app.task(name="work")
    async def work(context: Context) -> None:
        context.log.info("hello")

    with direct.engine.begin() as connection:
        connection.execute(text("ALTER TABLE celers_task_logs RENAME TO celers_hidden"))
    try:
        [added] = await staff.store.enqueue([work.call().task])
        await staff.claim()
        await ended(staff)
    finally:
        with direct.engine.begin() as connection:
            connection.execute(text("ALTER TABLE celers_hidden RENAME TO celers_task_logs"))
    view = direct.run(inspect.task, added.id)
    assert view is not None
    assert view.state is TaskState.COMPLETED
    [event] = staff.lost
    assert [task.id for task in event.tasks] == [added.id]


async def test_logs_go_with_retention(app: Celers, staff: Hosted, direct: DirectStore) -> None:
    @app.task(name="work")
    async def work(context: Context) -> None:
        context.log.info("hello")

    [added] = await staff.store.enqueue([work.call().task])
    await staff.claim()
    await ended(staff)
    kept = dict.fromkeys(
        ("completed", "cancelled", "expired", "dead", "results"), timedelta(days=1)
    )
    direct.run(pruning.prune, kept)
    assert len(logs(direct, added.id)) == 1
    counts = direct.run(pruning.prune, dict.fromkeys(kept, timedelta(0)))
    assert counts["logs"] == 1
    assert logs(direct, added.id) == []


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_what_bounds_the_log_is_configured(
    app: Celers, migrated_url: str, direct: DirectStore
) -> None:
    @app.task(name="work")
    async def work(context: Context) -> None:
        for number in range(100):
            context.log.info("line", n=number)

    for lines, kept in ((4, ["line n=0", "line n=1", "line n=98", "line n=99"]), (0, None)):
        hosted = Hosted(app, migrated_url, log__keep_lines=lines)
        await hosted.store.open()
        await hosted.enter()
        [added] = await hosted.store.enqueue([work.call().task])
        await hosted.claim()
        await ended(hosted)
        await hosted.close()
        assert [texts(log) for log in logs(direct, added.id)] == ([] if kept is None else [kept])


async def test_a_handler_that_ends_in_its_own_transaction_has_its_log_kept(
    migrated_url: str, direct: DirectStore
) -> None:
    app = Celers()

    @app.task(name="work")
    async def work(context: Context) -> None:
        async with context.transaction():
            context.log.info("inside")
        context.log.info("after")

    app.client.config = configured(migrated_url)
    task = await work.enqueue()
    await testing.drain(app)
    await app.close()
    [log] = logs(direct, task.id)
    assert texts(log) == ["inside", "after"]
