import pytest

from celers_worker.store import sql, upkeep
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors

LONG_AGO = sql.later(-7_200)


def ended_elsewhere(direct: DirectStore, state: str, number: int = 1) -> None:
    """Tasks that CeleRS's own worker ended two hours ago."""
    for task_id in rows.waiting(direct, number):
        rows.change(direct, task_id, state=state, completed_at=LONG_AGO)


def test_archive_moves_what_foreign_workers_ended_and_keeps_every_row(direct: DirectStore) -> None:
    # T14
    ended_elsewhere(direct, "completed", 3)
    ended_elsewhere(direct, "failed")
    rows.waiting(direct)

    assert done("maintain", "archive").out == "archived 0 tasks.\n"
    assert done("maintain", "archive", "--older-than", "1h", "--dry-run").out == (
        "would archive 4 tasks.\n"
    )
    assert len(rows.live(direct)) == 5
    assert done("maintain", "archive", "--older-than", "1h").out == "archived 4 tasks.\n"
    assert len(rows.live(direct)) == 1
    assert rows.counts(direct) == {"pending": 1, "completed": 3, "failed": 1}


def test_recover_takes_back_tasks_stuck_without_a_worker(direct: DirectStore) -> None:
    # T13
    stuck = rows.running(direct)
    rows.change(direct, stuck, worker_id=None, started_at=LONG_AGO)
    recent = rows.running(direct)
    rows.worker(direct)
    gone = rows.running(direct)
    rows.change(direct, gone, worker_id="deleted")

    assert done("maintain", "recover", "--dry-run").out == "would take back 2 tasks.\n"
    assert done("maintain", "recover", "--older-than", "3h", "--dry-run").out == (
        "would take back 1 task.\n"
    )
    assert done("maintain", "recover").out == "took back 2 tasks.\n"
    states = {row.id: (row.state, row.crash_count) for row in rows.live(direct)}
    assert states[stuck] == states[gone] == ("pending", 1)
    assert states[recent] == ("processing", 0)
    assert done("maintain", "recover").out == "took back 0 tasks.\n"


def test_recover_buries_what_has_crashed_too_often(direct: DirectStore) -> None:
    # T13
    poison = rows.running(direct, max_retries=100)
    rows.change(direct, poison, worker_id="deleted", crash_count=2)

    assert done("maintain", "recover").out == (
        "took back 1 task, 1 of them to the dead letter queue.\n"
    )
    assert rows.state(direct, poison) == "failed"


def test_purge_deletes_what_has_ended_and_is_chosen(direct: DirectStore) -> None:
    rows.dead(direct, 3, queue="a")
    rows.dead(direct, queue="b")
    rows.waiting(direct, queue="a")

    assert done("maintain", "purge", "-q", "a", "--dry-run").out == (
        "would delete 3 tasks for good.\n"
    )
    answer = celers("maintain", "purge", "-q", "a")
    assert (answer.code, rows.counts(direct)["failed"]) == (2, 4)
    assert done("maintain", "purge", "-q", "a", "--yes").out == "deleted 3 tasks.\n"
    assert rows.counts(direct) == {"pending": 1, "failed": 1}
    assert done("maintain", "purge", "--state", "completed", "--yes").out == (
        "no task that has ended matches: nothing to do.\n"
    )
    answer = celers("maintain", "purge", "--yes")
    assert answer.code == 2
    assert "which tasks to purge?" in answer.err


def test_purge_does_not_know_live_states(direct: DirectStore) -> None:
    rows.waiting(direct)

    answer = celers("maintain", "purge", "--state", "pending", "--yes")
    assert answer.code == 2
    assert rows.counts(direct) == {"pending": 1}


@pytest.mark.parametrize("verb", ["vacuum", "optimize", "analyze"])
def test_the_tables_are_tuned_step_by_step(direct: DirectStore, verb: str) -> None:
    rows.waiting(direct, 3)

    planned = done("maintain", verb, "--dry-run").lines
    assert planned
    assert all(line.startswith("would run: ") for line in planned)
    answer = done("maintain", verb)
    assert answer.out == f"{verb}: {len(planned)} statement{'s' * (len(planned) > 1)} done.\n"
    assert len(answer.err.splitlines()) == len(planned)
    assert rows.counts(direct) == {"pending": 3}


def test_an_analysis_is_seen_in_the_sizes(direct: DirectStore) -> None:
    rows.waiting(direct, 30)
    done("maintain", "analyze")

    documents = done("maintain", "sizes", "--format", "json").json
    [tasks] = [one for one in documents if one["table"] == "celers_tasks"]
    assert tasks["rows"] == 30
    assert done("maintain", "sizes").lines[0].split()[:3] == ["TABLE", "ROWS", "DATA"]


def test_partitions_are_shown_where_there_are_some(direct: DirectStore) -> None:
    answer = done("maintain", "partitions")
    documents = done("maintain", "partitions", "--format", "json").json
    if direct.url.get_backend_name() != "postgresql":
        assert (answer.out, documents) == ("", [])
        assert answer.err.startswith("No partitions")
        return
    assert answer.lines[0].split() == ["PARTITION", "DAY", "ROWS", "SIZE", "DROPPED"]
    assert documents[-1] == documents[-1] | {"day": None, "dropped_after": None}
    assert "celers_task_archive_default" in answer.out


def test_status_tells_who_does_the_upkeep(direct: DirectStore) -> None:
    from datetime import timedelta

    assert done("maintain", "status").err.startswith("No worker has done any upkeep yet.")
    direct.run(upkeep.hold, "worker-7", timedelta(minutes=1))
    direct.run(upkeep.begin, ["analyze"])

    [analyze, janitor] = done("maintain", "status", "--format", "json").json
    assert (janitor["duty"], janitor["holder"]) == ("janitor", "worker-7")
    assert analyze["due_at"] is not None
    assert "worker-7" in done("maintain", "status").out


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_wrong_verb_names_the_right_one(direct: DirectStore) -> None:
    answer = celers("maintain", "analyse")
    assert answer.code == 2
    assert "Did you mean 'analyze'?" in errors(answer)[0]
