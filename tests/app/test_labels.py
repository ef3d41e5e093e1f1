"""Tags and fingerprints: found, counted, and cancelled by them."""

from __future__ import annotations

import pytest

from celers_worker import Celers
from celers_worker.app import DeclaredTask
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.task import TaskState
from celers_worker.store import inspect
from celers_worker.store.direct import DirectStore
from celers_worker.store.inspect import TaskFilter
from tests.store.steps import execute, live_rows

ODD = ["tenant:7", "ä😀", 'a"b', "a\\b", "a'b", "A", "50%", "a_c"]


@pytest.fixture
def send(app: Celers) -> DeclaredTask[[int], None]:
    @app.task(queue="emails")
    def send(user_id: int) -> None: ...

    return send


def found(direct: DirectStore, tag: str) -> int:
    return direct.run(inspect.count_tasks, TaskFilter(tag=tag))


def test_a_task_is_found_by_each_of_its_tags_letter_by_letter(
    send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    send.with_(tags=ODD, metadata={"more": {"tags": ["no"]}}).enqueue_sync(1)
    send.enqueue_sync(2)
    assert [found(direct, tag) for tag in ODD] == [1] * len(ODD)
    others = ["a", "TENANT:7", "tenant:", "tenant:77", "no", "a%b", "abc", "tags"]
    assert [found(direct, tag) for tag in others] == [0] * len(others)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_metadata_that_is_no_json_has_no_tags(
    send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    send.enqueue_sync(1)
    execute(direct, "UPDATE celers_tasks SET metadata = '{not json'")
    assert found(direct, "a") == 0


async def test_many_are_cancelled_by_what_they_have_in_common(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    tagged = send.with_(tags=["tenant:7"])
    await app.enqueue_many(tagged.call(number) for number in range(1_200))
    other = await send.with_(tags=["tenant:8"], fingerprint="f").enqueue(0)
    execute(
        direct,
        "UPDATE celers_tasks SET state = 'processing', worker_id = 'w' WHERE id <> :other AND id ="
        " (SELECT first FROM (SELECT min(CAST(id AS char(36))) AS first FROM celers_tasks) AS t)"
        if direct.url.get_backend_name() != "postgresql"
        else "UPDATE celers_tasks SET state = 'processing', worker_id = 'w' WHERE id <> :other AND"
        " id = (SELECT id FROM celers_tasks ORDER BY id LIMIT 1)",
        other=other.id if direct.url.get_backend_name() == "postgresql" else str(other.id),
    )
    done = await app.cancel_many(tag="tenant:7", reason="the tenant left")
    assert (done.cancelled, done.requested) == (1_199, 1)
    assert await other.state() is TaskState.PENDING
    assert (await app.cancel_many(fingerprint="f", queue="emails")).cancelled == 1
    again = await app.cancel_many(tag="tenant:7")
    assert (again.cancelled, again.requested) == (0, 0)


def test_by_name_and_queue_without_a_loop(
    app: Celers, send: DeclaredTask[[int], None], direct: DirectStore
) -> None:
    send.enqueue_sync(1)
    send.with_(queue="other").enqueue_sync(2)
    assert app.cancel_many_sync(name="send", queue="other").cancelled == 1
    assert app.cancel_many_sync(queue="nothing").cancelled == 0
    assert [row.queue_name for row in live_rows(direct)] == ["emails"]


async def test_not_everything_is_cancelled_by_accident(app: Celers, direct: DirectStore) -> None:
    with pytest.raises(ConfigurationError, match="which tasks to cancel"):
        await app.cancel_many()
