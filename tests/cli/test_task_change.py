import pytest

from celers_worker.core.task import new_id
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def test_update_changes_what_waits_and_a_dry_run_does_not(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct, metadata={"old": 1})
    change = ("--priority", "5", "--queue", "b", "--max-retries", "9", "--metadata", "who=ada")

    assert done("task", "update", str(task_id), *change, "--dry-run").out == (
        f"{task_id} would be updated.\n"
    )
    assert rows.live(direct)[0].priority == 0
    assert done("task", "update", str(task_id), *change).out == f"{task_id} is updated.\n"
    [row] = rows.live(direct)
    assert (row.priority, row.queue_name, row.max_retries) == (5, "b", 9)
    assert row.metadata == {"old": 1, "who": "ada"}


def test_update_reads_metadata_as_json_and_null_removes_a_key(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct, metadata={"old": 1})

    done("task", "update", str(task_id), "--metadata", "n=5", "--metadata", "old=null")
    assert rows.live(direct)[0].metadata == {"n": 5}


def test_update_leaves_what_runs_and_says_what_it_found(direct: DirectStore) -> None:
    running, unknown = rows.running(direct), new_id()
    [dead] = rows.dead(direct)

    answer = celers(*("task", "update", "--priority", "5"), *map(str, (running, dead, unknown)))
    assert answer.code == 1
    assert errors(answer) == [
        f"{running} is processing: it was left alone.",
        f"{dead} is failed: it was left alone.",
        f"there is no task {unknown}, or its retention is over. See: celers task list",
    ]
    assert rows.live(direct)[0].priority == 0


def test_reschedule_puts_a_task_off(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)

    assert done("task", "reschedule", str(task_id), "--delay", "2h", "--dry-run").out == (
        f"{task_id} would be rescheduled.\n"
    )
    done("task", "reschedule", str(task_id), "--delay", "2h")
    [row] = rows.live(direct)
    assert 7_200 <= (row.scheduled_at - row.created_at).total_seconds() < 7_300
    done("task", "reschedule", str(task_id), "--at", "2040-01-01T00:00:00Z")
    assert rows.live(direct)[0].scheduled_at.year == 2040


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("reschedule", "ID"), "when are they due? Give --at or --delay."),
        (("update", "ID"), "nothing is to be changed: give at least one new value."),
        (("update", "ID", "--metadata", "novalue"), "--metadata is 'novalue': write KEY=VALUE"),
        (("move", "-q", "a", "--to", "a"), "--queue and --to both name 'a'"),
        (("move", "--to", "b"), "which tasks to move?"),
        (("reprioritise", "--priority", "1"), "which tasks to reprioritise?"),
        (("list", "--metadata", 'a"b=c'), "without quotes or backslashes"),
    ],
)
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_what_cannot_be_meant_is_refused(
    direct: DirectStore, arguments: tuple[str, ...], problem: str
) -> None:
    [task_id] = rows.waiting(direct)
    answer = celers("task", *(str(task_id) if one == "ID" else one for one in arguments))
    assert answer.code == 2
    assert problem in answer.err
    assert rows.counts(direct) == {"pending": 1}


def test_move_takes_the_waiting_tasks_of_a_queue_to_another(direct: DirectStore) -> None:
    rows.waiting(direct, 600, queue="a")
    rows.running(direct, queue="a")
    rows.waiting(direct, queue="c")

    assert done("task", "move", "-q", "a", "--to", "b", "--dry-run").out == (
        "would move 600 waiting tasks to b.\n"
    )
    assert done("task", "move", "-q", "a", "--to", "b").out == "moved 600 tasks to b.\n"
    queues = [row.queue_name for row in rows.live(direct)]
    assert (queues.count("a"), queues.count("b"), queues.count("c")) == (1, 600, 1)
    assert done("task", "move", "-q", "a", "--to", "b").out == (
        "no waiting task matches: nothing to move.\n"
    )


def test_reprioritise_gives_chosen_tasks_another_priority(direct: DirectStore) -> None:
    one, _ = rows.waiting(direct, 2)

    assert done("task", "reprioritise", "--priority", "7", str(one)).out == (
        "gave 1 task the priority 7.\n"
    )
    assert [row.priority for row in rows.live(direct)] == [7, 0]
    done("task", "reprioritise", "--priority", "8", "--name", "send", "--yes")
    assert [row.priority for row in rows.live(direct)] == [8, 8]


def test_a_retry_can_be_tried_dry(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)

    answer = done("task", "retry", str(dead), "--dry-run")
    assert answer.out == f"{dead} is failed and would be pending again.\n"
    assert rows.counts(direct) == {"failed": 1}


def test_list_filters_by_derived_state_age_and_metadata(direct: DirectStore) -> None:
    rows.waiting(direct)
    done("enqueue", "later", "--delay", "1h")
    [marked] = rows.waiting(direct, metadata={"tenant": "acme"})

    [scheduled] = done("task", "list", "--state", "scheduled", "--format", "json").json
    assert scheduled["name"] == "later"
    [found] = done("task", "list", "--metadata", "tenant=acme", "--format", "json").json
    assert found["id"] == str(marked)
    assert len(done("task", "list", "--newer-than", "1h", "--format", "json").json) == 3
    assert done("task", "list", "--newer-than", "1h", "--older-than", "30m").out == ""
    assert done("task", "count", "--metadata", "tenant=acme").out == "1\n"
    assert done("task", "cancel", "--state", "scheduled", "--yes").out == "cancelled 1 task.\n"
