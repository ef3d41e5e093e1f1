"""PostgreSQL's instants: numbers on the wire, datetimes for who looks."""

from datetime import UTC, datetime, timedelta

import pytest

from celers_worker.core.task import EPOCH, FIRST, LAST, datetime_of
from celers_worker.store.postgres.instants import send_instants_as_numbers
from tests.store.steps import claim_one, execute, new_task

pytestmark = pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
NOW = datetime(2026, 11, 27, 12, 0, 0, 123_457, tzinfo=UTC)


@pytest.mark.parametrize(
    "instant",
    [NOW, EPOCH, EPOCH - timedelta(microseconds=1), datetime(1, 1, 2, tzinfo=UTC), FIRST, LAST],
)
async def test_an_instant_comes_back_as_it_was_sent(store, instant):
    async with store.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        await send_instants_as_numbers(raw)
        sent = await raw.fetchval("SELECT $1::timestamptz", instant)
        text = await raw.fetchval("SELECT ($1::timestamptz AT TIME ZONE 'UTC')::text", instant)
        await connection.invalidate()
    assert isinstance(sent, int)
    assert datetime_of(sent) == instant
    infinities = {FIRST: "-infinity", LAST: "infinity"}
    assert text.startswith(infinities.get(instant, f"{instant:%Y-%m-%d %H:%M:%S}".zfill(19)))


@pytest.mark.parametrize(
    "due", ["-infinity", "0044-03-15 12:00:00+00 BC", "0001-01-01 00:00:00+00"]
)
async def test_a_task_due_before_all_datetimes_is_claimed(store, direct, due):
    [added] = await store.enqueue([new_task()])
    execute(direct, "UPDATE celers_tasks SET scheduled_at = CAST(:due AS timestamptz)", due=due)
    task = await claim_one(store)
    assert task.id == added.id
    assert task.scheduled_at == FIRST
