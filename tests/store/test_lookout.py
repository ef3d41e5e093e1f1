"""An idle worker on MySQL asks one question at a time."""

from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import Engine, event

from celers_worker.core.errors import Unavailable
from tests import databases
from tests.store.steps import WORKER, any_queue, new_task
from tests.waiting import eventually

CLAIMS = 20

pytestmark = pytest.mark.parametrize("migrated_url", ["mysql"], indirect=True)


@pytest.fixture
def sent():
    """What went to the server: statements, and whatever else costs a round trip."""
    counts = Counter()
    kinds = ["before_cursor_execute", "commit", "rollback", "checkout"]
    counters = [(kind, lambda *_, kind=kind: counts.update([kind])) for kind in kinds]
    for counter in counters:
        event.listen(Engine, *counter)
    yield counts
    for counter in counters:
        event.remove(Engine, *counter)


async def test_a_claim_with_nothing_waiting_is_one_statement(store, sent):
    assert await store.claim(WORKER, any_queue(10)) == []
    sent.clear()
    for _ in range(CLAIMS):
        assert await store.claim(WORKER, any_queue(10)) == []
    assert sent == {"before_cursor_execute": CLAIMS}


async def test_a_task_that_comes_is_claimed_at_once(store):
    assert await store.claim(WORKER, any_queue(10)) == []
    await store.enqueue([new_task()])
    assert len(await store.claim(WORKER, any_queue(10))) == 1
    assert await store.claim(WORKER, any_queue(10)) == []


async def test_a_connection_that_the_server_ended_is_made_anew(store, migrated_url):
    assert await store.claim(WORKER, any_queue(10)) == []
    with closing(databases.connect(migrated_url)) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = DATABASE() AND id <> connection_id()"
        )
        for (session,) in cursor.fetchall():
            cursor.execute(f"KILL {session}")
    await store.enqueue([new_task()])

    async def claimed():
        try:
            return await store.claim(WORKER, any_queue(10))
        except Unavailable:  # the pool's connection was ended too
            return None

    assert len(await eventually(claimed)) == 1
