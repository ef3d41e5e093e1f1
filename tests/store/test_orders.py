"""What operators ask for is read with the renewal of a lease, and by live workers only."""

import pytest
from sqlalchemy import event

from celers_worker.core.orders import Hold, Limits, Orders, WorkerState
from celers_worker.store import maintenance, orders, survey
from tests.store.steps import LEASE, WORKER, execute, lose_worker, start_worker, worker_card


async def renew(store, worker=WORKER):
    return await store.run(maintenance.renew, worker, LEASE, running=0, state="running")


async def want(store, state, worker=WORKER):
    return await store.run(orders.want_state, [worker], state, "ada@host")


async def test_a_worker_that_nobody_told_anything_reads_nothing(store):
    await start_worker(store)
    assert await renew(store) == Orders()


async def test_an_order_is_read_with_each_renewal_and_changes_nothing_twice(store):
    await start_worker(store)
    assert await want(store, WorkerState.QUIET) == 1
    await store.run(orders.want_concurrency, [WORKER], 3, "grace@host")
    read = Orders(state=WorkerState.QUIET, concurrency=3, by="grace@host")
    assert [await renew(store), await renew(store)] == [read, read]


async def test_only_live_workers_are_told(store):
    await start_worker(store, "lost")
    await lose_worker(store, "lost")
    await start_worker(store, "alive")
    told = await store.run(orders.want_state, ["lost", "alive", "nobody"], WorkerState.QUIET, "x")
    assert told == 1
    assert (await renew(store, "alive")).state is WorkerState.QUIET


async def test_a_worker_that_was_told_to_stop_is_told_nothing_else(store):
    await start_worker(store)
    await want(store, WorkerState.STOPPING)
    assert await want(store, WorkerState.RUNNING) == 0
    assert (await renew(store)).state is WorkerState.STOPPING


async def test_a_state_that_this_version_does_not_know_is_no_order(store, direct):
    await start_worker(store)
    execute(direct, "UPDATE celers_workers SET wanted_state = 'dancing'")
    assert (await renew(store)).state is None


async def test_orders_go_with_a_worker_to_its_next_id(store):
    told = Orders(state=WorkerState.QUIET, concurrency=3, by="ada@host")
    card = worker_card(orders=told, state="quiet", limits=Limits(queues={"a": 2}, others=5))
    await store.run(maintenance.register, card, LEASE)
    assert await renew(store) == told
    [view] = await store.run(survey.list_workers)
    assert view.limits == {"queues": {"a": 2}, "others": 5, "handlers": {}}
    assert 0 < view.lease_left <= LEASE.total_seconds()


async def test_what_an_order_made_of_the_limits_is_published(store):
    await start_worker(store)
    card = worker_card(concurrency=2, limits=Limits(others=2))
    await store.run(maintenance.publish, card)
    [view] = await store.run(survey.list_workers)
    assert (view.concurrency, view.limits["others"]) == (2, 2)


# --- handlers ---


async def test_a_paused_handler_is_told_to_every_worker_until_it_is_resumed(store):
    await start_worker(store)
    await start_worker(store, "another")
    await store.run(orders.pause, "send", "by ada")
    held = (Hold(name="send", paused=True),)
    assert [(await renew(store, name)).holds for name in (WORKER, "another")] == [held, held]
    assert await store.run(orders.resume, "send")
    assert not await store.run(orders.resume, "send"), "it was not held"
    assert (await renew(store)).holds == ()


async def test_a_second_pause_keeps_the_time_of_the_first_and_the_words_of_the_last(store):
    await store.run(orders.pause, "send", "first")
    [before] = await store.run(orders.held)
    await store.run(orders.pause, "send", "w" * 300)
    [after] = await store.run(orders.held)
    assert after.paused_at == before.paused_at
    assert after.paused_reason == "w" * 255


# --- circuits ---


async def test_a_circuit_is_opened_by_one_and_held_by_all(store):
    await start_worker(store)
    assert await store.run(orders.open_circuit, "send", "ConnectionError", 30.0)
    assert not await store.run(orders.open_circuit, "send", "another", 30.0)
    [hold] = (await renew(store)).holds
    assert (hold.name, hold.open, hold.paused) == ("send", True, False)
    assert 0 < hold.probe_in <= 30
    [held] = await store.run(orders.held)
    assert (held.opened_reason, held.prober) == ("ConnectionError", None)


async def test_a_turn_to_try_a_task_is_taken_by_one_once_the_rest_is_over(store):
    await store.run(orders.open_circuit, "send", "down", 30.0)
    assert not await store.run(orders.take_probe, "send", WORKER, 30.0), "the rest is not over"
    await store.run(orders.resume, "send")
    await store.run(orders.open_circuit, "send", "down", 0.0)
    taken = [await store.run(orders.take_probe, "send", name, 30.0) for name in ("a", "b")]
    assert taken == [True, False]


async def test_a_task_that_ran_well_closes_the_circuit_whoever_has_the_turn_by_then(store):
    await store.run(orders.open_circuit, "send", "down", 0.0)
    await store.run(orders.take_probe, "send", "a", 30.0)
    assert await store.run(orders.close_circuit, "send")
    assert not await store.run(orders.close_circuit, "send"), "it is closed already"
    assert await store.run(orders.held) == []
    assert not await store.run(orders.take_probe, "send", "a", 0.0), "there is nothing to try"


async def test_to_resume_a_handler_closes_its_circuit_too(store):
    await store.run(orders.open_circuit, "send", "down", 30.0)
    assert await store.run(orders.resume, "send")
    assert await store.run(orders.held) == []


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
async def test_postgresql_reads_orders_in_the_statement_that_renews(store, direct):
    await start_worker(store)
    await store.run(orders.pause, "send", None)
    sent = []
    event.listen(direct.engine, "before_cursor_execute", lambda *call: sent.append(call[2]))
    read = direct.run(maintenance.renew, WORKER, LEASE, running=0, state="running")
    assert [hold.name for hold in read.holds] == ["send"]
    assert len([one for one in sent if "celers_" in one]) == 1
