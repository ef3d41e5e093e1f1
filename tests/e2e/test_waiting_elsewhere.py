"""Who waits for a task need not be in the process that enqueued it, nor in the one that runs it."""

import asyncio

import pytest

from celers_worker import Celers, TaskFailed
from tests.e2e import handlers
from tests.e2e.project import Project


def test_a_result_reaches_another_process_though_two_attempts_failed(project: Project) -> None:
    # T26
    lucky, hopeless = project.enqueue(
        [
            handlers.third_time_lucky.call(),
            handlers.third_time_lucky.with_(max_retries=1).call(),
        ]
    )
    worker = project.worker()
    app = Celers(project.url)

    async def wait() -> str:
        result: str = await app.task_by_id(lucky).result(timeout=20)
        await app.close()
        return result

    assert asyncio.run(wait()) == f"done by {worker.process.pid}"
    assert app.task_by_id(lucky).result_sync(timeout=20) == f"done by {worker.process.pid}"
    with pytest.raises(TaskFailed, match="not yet"):
        app.task_by_id(hopeless).result_sync(timeout=20)
    app.close_sync()
