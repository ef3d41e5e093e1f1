"""From each database to each: nothing lost, nothing doubled, whenever it is interrupted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from celers_worker.core.errors import CelersError
from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import Demand, NewTask
from celers_worker.moving import copying
from celers_worker.store import maintenance, make_direct_store
from celers_worker.store.direct import DirectStore
from celers_worker.store.levels import Levels
from celers_worker.store.moving.selection import Selection
from tests.conftest import DATABASES
from tests.moving import content
from tests.moving.conftest import Database

PAIRS = pytest.mark.parametrize(
    ("source_kind", "target_kind"), list(itertools.product(DATABASES, DATABASES))
)
#: Where the kind of the other does not matter.
WITH_SQLITE = pytest.mark.parametrize(
    ("source_kind", "target_kind"), [(kind, "sqlite") for kind in DATABASES]
)


@pytest.fixture
def source(source_kind: str, target_kind: str, database: Database) -> Iterator[DirectStore]:
    with closing(make_direct_store(database(source_kind))) as opened:
        yield opened


@pytest.fixture
def target(source: DirectStore, target_kind: str, database: Database) -> Iterator[DirectStore]:
    with closing(make_direct_store(database(target_kind))) as opened:
        yield opened


def copy(source: DirectStore, target: DirectStore, **options: Any) -> copying.Copied:
    return copying.copy(source, target, copying.plan(source, target), **options)


def move(source: DirectStore, target: DirectStore, **options: Any) -> copying.Copied:
    return copying.move(source, target, copying.plan(source, target, moving=True), **options)


def worker(direct: DirectStore) -> None:
    """A worker whose lease lives."""
    card = maintenance.WorkerCard(
        id="worker-1",
        name="mail-1",
        host="host-1",
        pid=1,
        version="1",
        queues=[],
        handlers=[],
        concurrency=1,
    )
    direct.run(maintenance.register, card, timedelta(minutes=5))


def run_one(direct: DirectStore) -> Any:
    """Claim one task and complete it."""

    def run(transaction: Any) -> Any:
        [task] = transaction.claim("worker-1", Demand(total=1, others=1), Levels())
        transaction.settle("worker-1", [Settlement(task, Completed(b"1"))])
        return task.id

    return direct.run(run)


@PAIRS
def test_a_copy_is_the_same_byte_for_byte(source: DirectStore, target: DirectStore) -> None:
    rows = content.fill(source, each=2)

    copied = copy(source, target)
    assert content.contents(target) == content.ordered(rows)
    assert content.contents(source) == content.ordered(rows)
    assert copied.tally.added == {part: len(group) for part, group in rows.items()}


@PAIRS
def test_interrupted_and_repeated_nothing_is_lost_or_doubled(
    source: DirectStore, target: DirectStore
) -> None:
    rows = content.fill(source, each=40)

    for batches in (1, 3, 5):
        asked = itertools.count(1)
        copied = copy(source, target, stop=lambda asked=asked, last=batches: next(asked) > last)
        assert not copied.tally.finished
    assert copy(source, target).tally.finished
    assert content.contents(target) == content.ordered(rows)


class Killed(BaseException):
    """The process is gone: nothing of ours runs after it."""


@PAIRS
def test_a_move_that_is_killed_at_any_step_is_finished_by_the_next(
    source: DirectStore, target: DirectStore
) -> None:
    rows = content.fill(source, each=30)
    before = content.ordered(rows)
    run = target.run

    for kills in range(4):
        calls = itertools.count()

        def dying(
            operation: Any, *args: Any, calls: Any = calls, last: int = kills, **options: Any
        ) -> Any:
            answer = run(operation, *args, **options)
            if operation.__name__ == "load" and next(calls) == last:
                raise Killed  # the target has committed, the source not yet
            return answer

        target.run = dying  # type: ignore[method-assign]
        with pytest.raises(Killed):
            move(source, target)
        target.run = run  # type: ignore[method-assign]
        assert _united(source, target) == before

    assert move(source, target).tally.finished
    assert content.contents(target) == before
    left = content.contents(source)
    assert left == content.ordered({"queues": rows["queues"]})


def _united(source: DirectStore, target: DirectStore) -> dict[str, list[dict[str, Any]]]:
    """What is in the one or the other, each row once."""
    one, other = content.contents(source), content.contents(target)
    return {
        part: content.by_key([*one[part], *(row for row in other[part] if row not in one[part])])
        for part in one
    }


@WITH_SQLITE
def test_while_workers_run_only_history_is_copied(source: DirectStore, target: DirectStore) -> None:
    rows = content.fill(source)
    worker(source)

    passage = copying.plan(source, target)
    assert passage.workers == 1
    assert {part.name for part in passage.left} >= {"tasks", "queues"}
    copying.copy(source, target, passage)
    expected = {part: group for part, group in rows.items() if part not in ("tasks", "queues")}
    assert content.contents(target) == content.ordered(expected)


@WITH_SQLITE
def test_two_passes_copy_everything_while_the_first_one_disturbs_nobody(
    source: DirectStore, target: DirectStore
) -> None:
    content.fill(source)
    worker(source)
    copy(source, target)
    # Meanwhile, and between the passes, the source works on.
    for _ in range(3):
        run_one(source)
    source.enqueue([NewTask(name="late", payload=b"{}")])
    source.run(maintenance.deregister, "worker-1")

    copy(source, target)
    assert content.contents(target) == content.contents(source)


@WITH_SQLITE
def test_what_has_changed_since_an_earlier_pass_is_brought_up_to_date(
    source: DirectStore, target: DirectStore
) -> None:
    """Somebody copied, went on working at the source after all, and copies again."""
    from celers_worker.store import control
    from celers_worker.store.inspect import TaskFilter

    rows = content.fill(source, each=2)
    copy(source, target)
    ran = [run_one(source) for _ in range(2)]
    dead, *_ = [row["id"] for row in rows["dead"]]
    source.run(control.requeue, TaskFilter(ids=[dead]))
    cancelled = rows["tasks"][-1]["id"]
    source.run(control.cancel, TaskFilter(ids=[cancelled]), "a mistake")
    blocked = next(row["id"] for row in rows["tasks"] if row["state"] == "blocked")
    source.run(
        lambda transaction: transaction.connection.execute(
            content.tasks.update()
            .where(content.tasks.c.id == blocked)
            .values(state="pending", waits_for=0)
        )
    )

    copied = copy(source, target)
    assert copied.tally.replaced >= len(ran) + 3
    assert content.contents(target) == content.contents(source)


@WITH_SQLITE
def test_what_the_target_has_done_since_stays_done(
    source: DirectStore, target: DirectStore
) -> None:
    content.write(source, {"tasks": [content.task() for _ in range(5)]})
    copy(source, target)
    ran = run_one(target)

    copy(source, target)
    found = content.contents(target)
    assert [row["id"] for row in found["archive"]] == [ran]
    assert len(found["tasks"]) == 4


@WITH_SQLITE
def test_a_move_takes_what_producers_add_meanwhile_with_its_next_pass(
    source: DirectStore, target: DirectStore
) -> None:
    content.write(source, {"tasks": [content.task() for _ in range(250)]})

    move(source, target, advance=lambda _: source_enqueues(source))
    added = len(content.contents(source)["tasks"]) + len(content.contents(target)["tasks"]) - 250
    assert added > 0
    while content.contents(source)["tasks"]:
        move(source, target)
    assert len(content.contents(target)["tasks"]) == 250 + added


def source_enqueues(source: DirectStore) -> None:
    source.enqueue([NewTask(name="late", payload=b"{}")])


@WITH_SQLITE
def test_what_the_target_will_not_take_stays_at_the_source(
    source: DirectStore, target: DirectStore
) -> None:
    mine, theirs = content.task(unique_key="k"), content.task(unique_key="k")
    content.write(source, {"tasks": [theirs, other := content.task()]})
    content.write(target, {"tasks": [mine]})

    moved = move(source, target)
    assert (moved.tally.held, moved.deleted["tasks"]) == (1, 1)
    assert content.contents(source)["tasks"] == [theirs]
    assert content.contents(target)["tasks"] == content.by_key([mine, other])


@WITH_SQLITE
def test_filters_move_tasks_and_what_belongs_to_them(
    source: DirectStore, target: DirectStore
) -> None:
    rows = content.fill(source)
    wanted = Selection(queue="emails")
    passage = copying.plan(source, target, wanted, moving=True)
    copying.move(source, target, passage, wanted)

    expected = {
        "dead": rows["dead"],
        "attempts": rows["attempts"],
        "archive": [row for row in rows["archive"] if row["queue_name"] == "emails"],
    }
    assert content.contents(target) == content.ordered(expected)
    left = content.contents(source)
    assert (left["dead"], left["attempts"], len(left["archive"])) == ([], [], 2)
    assert left["tasks"] == content.by_key(rows["tasks"])


@WITH_SQLITE
def test_a_dry_run_counts_and_writes_nothing(source: DirectStore, target: DirectStore) -> None:
    rows = content.fill(source)

    copied = copy(source, target, dry_run=True)
    assert copied.tally.added == {part: len(group) for part, group in rows.items()}
    assert content.contents(target) == content.ordered({})


@pytest.mark.parametrize("migrated_url", DATABASES, indirect=True)
def test_a_database_is_not_moved_to_itself_under_another_name(
    migrated_url: str, direct: DirectStore
) -> None:
    rows = content.fill(direct)
    with (
        make_direct_store(_alias(migrated_url)) as same,
        pytest.raises(CelersError, match="are one database"),
    ):
        move(direct, same)
    assert content.contents(direct) == content.ordered(rows)


def _alias(url: str) -> str:
    if url.startswith("sqlite"):
        return url.replace("/celers-", "/./celers-")
    return url.replace("127.0.0.1", "localhost")
