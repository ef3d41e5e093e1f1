from __future__ import annotations

import io
from itertools import count
from typing import Any

import pytest

from celers_worker.core.errors import CelersError
from celers_worker.core.task import Demand
from celers_worker.moving.exporting import export
from celers_worker.moving.importing import ImportOptions, Tally, import_rows
from celers_worker.moving.reading import ExportReader
from celers_worker.store.direct import DirectStore
from celers_worker.store.levels import Levels
from celers_worker.store.moving.arrival import Conflict
from tests.moving import content


def exported(spare: DirectStore, rows: dict[str, list[dict[str, Any]]]) -> io.BytesIO:
    """An export of these rows, made on another database."""
    content.write(spare, rows)
    stream = io.BytesIO()
    export(spare, stream)
    return stream


def imported(direct: DirectStore, stream: io.BytesIO, **options: Any) -> Tally:
    reader = ExportReader(stream, "the export")
    reader.verify()
    return import_rows(direct, reader, ImportOptions(**options))


def test_what_comes_from_another_database_is_the_same_here(
    direct: DirectStore, spare: DirectStore
) -> None:
    rows = content.fill(spare, each=3)
    stream = io.BytesIO()
    export(spare, stream)

    tally = imported(direct, stream)
    assert content.contents(direct) == content.ordered(rows)
    assert tally.added == {part: len(group) for part, group in rows.items()}


def test_the_same_file_twice_changes_nothing(direct: DirectStore, spare: DirectStore) -> None:
    rows = content.fill(spare)
    stream = io.BytesIO()
    export(spare, stream)
    imported(direct, stream)

    tally = imported(direct, stream)
    assert sum(tally.added.values()) == 0
    assert tally.known == sum(map(len, rows.values()))
    assert content.contents(direct) == content.ordered(rows)


def test_an_import_that_was_interrupted_goes_on_where_it_was(
    direct: DirectStore, spare: DirectStore
) -> None:
    rows = {"tasks": [content.task() for _ in range(3_500)]}
    stream = exported(spare, rows)
    asked = count(1)

    first = import_rows(
        direct,
        ExportReader(stream, "the export"),
        ImportOptions(),
        stop=lambda: next(asked) > 2,
    )
    assert (first.finished, first.added) == (False, {"tasks": 2_000})

    second = imported(direct, stream)
    assert (second.finished, second.added, second.known) == (True, {"tasks": 1_500}, 2_000)
    assert content.contents(direct) == content.ordered(rows)


def test_a_task_that_ran_comes_in_pending_with_a_raised_lease(
    direct: DirectStore, spare: DirectStore
) -> None:
    stream = exported(spare, {"tasks": [content.running(retry_count=1)]})
    imported(direct, stream)

    [row] = content.contents(direct)["tasks"]
    assert (row["state"], row["lease"], row["retry_count"]) == ("pending", 5, 1)
    assert (row["worker_id"], row["started_at"]) == (None, None)


def test_what_has_run_since_it_came_is_not_run_again(
    direct: DirectStore, spare: DirectStore
) -> None:
    stream = exported(spare, {"tasks": [content.task() for _ in range(3)]})
    imported(direct, stream)
    ran = _run_one(direct)

    tally = imported(direct, stream)
    assert (tally.known, tally.added) == (3, {"tasks": 0})
    found = content.contents(direct)
    assert [row["id"] for row in found["archive"]] == [ran]
    assert len(found["tasks"]) == 2


def _run_one(direct: DirectStore) -> Any:
    from celers_worker.core.outcome import Completed, Settlement

    def run(transaction: Any) -> Any:
        [task] = transaction.claim("worker-1", Demand(total=1, others=1), Levels())
        transaction.settle("worker-1", [Settlement(task, Completed(None))])
        return task.id

    return direct.run(run)


def test_a_unique_key_of_a_live_task_is_respected(direct: DirectStore, spare: DirectStore) -> None:
    content.write(direct, {"tasks": [mine := content.task(unique_key="welcome:1")]})
    theirs = content.task(unique_key="welcome:1")
    other = content.task(unique_key="welcome:2")
    stream = exported(spare, {"tasks": [theirs, other]})

    for conflict in (Conflict.SKIP, Conflict.REPLACE):
        tally = imported(direct, stream, conflict=conflict)
        assert (tally.held, tally.first_held) == (1, f"tasks {theirs['id']}")
        assert content.contents(direct, "tasks")["tasks"] == content.by_key([mine, other])


def test_of_two_in_a_file_with_one_unique_key_the_first_comes_in(direct: DirectStore) -> None:
    from celers_worker.store.moving.loading import load
    from celers_worker.store.moving.parts import chosen_parts

    [part] = chosen_parts(["tasks"])
    rows = [content.task(unique_key="k"), content.task(unique_key="k")]
    loaded = direct.run(load, part, rows, conflict=Conflict.SKIP)

    assert (loaded.added, loaded.held) == (1, [(rows[1]["id"],)])
    assert content.contents(direct, "tasks")["tasks"] == rows[:1]


def test_replace_takes_the_row_of_the_file_wherever_the_task_is_kept(
    direct: DirectStore, spare: DirectStore
) -> None:
    waiting, failed = content.task(priority=7), content.dead()
    stream = exported(spare, {"tasks": [waiting], "dead": [failed]})
    content.write(
        direct,
        {
            "archive": [content.ended("completed", id=waiting["id"])],
            "tasks": [content.running(id=failed["id"])],
        },
    )

    tally = imported(direct, stream, conflict=Conflict.REPLACE)
    assert (tally.replaced, tally.known) == (2, 0)
    above = waiting | {"lease": 3}  # a late write of the run that had completed finds nothing
    assert content.contents(direct) == content.ordered({"tasks": [above], "dead": [failed]})


def test_what_a_replaced_run_still_writes_finds_nothing(
    direct: DirectStore, spare: DirectStore
) -> None:
    stream = exported(spare, {"tasks": [content.task(lease=9)]})
    imported(direct, stream)
    direct.run(lambda transaction: transaction.claim("w", Demand(total=1, others=1), Levels()))
    [running] = content.contents(direct, "tasks")["tasks"]

    imported(direct, stream, conflict=Conflict.REPLACE)
    [row] = content.contents(direct, "tasks")["tasks"]
    assert row["state"] == "pending"
    assert row["lease"] > running["lease"]


def test_fail_finds_what_is_there_before_anything_is_written(
    direct: DirectStore, spare: DirectStore
) -> None:
    rows = {"tasks": [content.task() for _ in range(1_100)]}
    stream = exported(spare, rows)
    last = rows["tasks"][-1]
    content.write(direct, {"tasks": [last]})

    with pytest.raises(CelersError, match=f"{last['id']} is in the database already"):
        imported(direct, stream, conflict=Conflict.FAIL)
    assert content.contents(direct, "tasks")["tasks"] == [last]


def test_a_dry_run_says_what_would_be_and_writes_nothing(
    direct: DirectStore, spare: DirectStore
) -> None:
    rows = content.fill(spare)
    stream = io.BytesIO()
    export(spare, stream)
    content.write(direct, {"dead": rows["dead"]})

    tally = imported(direct, stream, dry_run=True)
    assert tally.known == len(rows["dead"])
    assert tally.added == {part: len(group) for part, group in rows.items()} | {"dead": 0}
    assert content.contents(direct) == content.ordered({"dead": rows["dead"]})


def test_as_pending_lets_what_is_dead_cancelled_or_expired_start_anew(
    direct: DirectStore, spare: DirectStore
) -> None:
    completed = content.ended("completed")
    again = [
        content.dead(crash_count=1),
        content.ended("cancelled", cancel_reason="purged"),
        content.ended("expired", expires_at=content.LONG_AGO),
    ]
    stream = exported(spare, {"archive": [completed, *again[1:]], "dead": again[:1]})
    imported(direct, stream, as_pending=True)

    found = content.contents(direct)
    assert [row["id"] for row in found["archive"]] == [completed["id"]]
    assert {row["id"] for row in found["tasks"]} == {row["id"] for row in again}
    assert found["dead"] == []
    for row in found["tasks"]:
        assert (row["state"], row["lease"]) == ("pending", 3)
        assert (row["retry_count"], row["crash_count"]) == (0, 0)
        assert (row["expires_at"], row["cancel_reason"], row["worker_id"]) == (None, None, None)


def test_only_the_parts_that_are_named_come_in(direct: DirectStore, spare: DirectStore) -> None:
    rows = content.fill(spare)
    stream = io.BytesIO()
    export(spare, stream)

    imported(direct, stream, only=("dead", "attempts"))
    expected = {"dead": rows["dead"], "attempts": rows["attempts"]}
    assert content.contents(direct) == content.ordered(expected)


def test_text_that_no_database_of_ours_holds_is_escaped(direct: DirectStore) -> None:
    from celers_worker.store.moving.loading import load
    from celers_worker.store.moving.parts import chosen_parts

    [part] = chosen_parts(["tasks"])
    row = content.task(error_message="a\0b", metadata={"k\0": ["\0"]})
    direct.run(load, part, [row], conflict=Conflict.SKIP)

    [found] = content.contents(direct, "tasks")["tasks"]
    assert (found["error_message"], found["metadata"]) == ("a\\0b", {"k\\0": ["\\0"]})


def test_waiting_workers_are_told_of_what_came(direct: DirectStore, spare: DirectStore) -> None:
    """Else an idle worker would find it only with its next look."""
    stream = exported(spare, {"tasks": [content.task(queue_name="emails"), content.running()]})
    announced: list[str] = []

    class Listening(direct.transaction):  # type: ignore[misc,name-defined]
        def announce(self, queues: Any) -> None:
            announced.extend(queues)

    direct.transaction = Listening
    imported(direct, stream)
    assert sorted(announced) == ["default", "emails"]


def test_a_worker_that_runs_meanwhile_gets_each_task_once(
    direct: DirectStore, spare: DirectStore
) -> None:
    rows = {"tasks": [content.task() for _ in range(2_200)]}
    stream = exported(spare, rows)
    ran: list[Any] = []

    def run_some(_: int = 0) -> None:
        ran.extend(_run_one(direct) for _ in range(5))

    for _ in range(3):  # the same file again and again, as if it had been interrupted
        reader = ExportReader(stream, "the export")
        import_rows(direct, reader, ImportOptions(), advance=run_some)

    assert len(ran) == len(set(ran)) == 45
    found = content.contents(direct)
    assert {row["id"] for row in found["archive"]} == set(ran)
    assert len(found["tasks"]) + len(ran) == 2_200
