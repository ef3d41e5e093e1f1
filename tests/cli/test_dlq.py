from datetime import timedelta

import pytest

from celers_worker.core.task import new_id
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def test_list_shows_dead_tasks_only(direct: DirectStore) -> None:
    [dead] = rows.dead(direct, name="broken")
    rows.waiting(direct)

    _, line = done("dlq", "list").lines
    assert line.split()[:3] == [str(dead), "failed", "broken"]
    [document] = done("dlq", "list", "--format", "json").json
    assert (document["id"], document["reason"]) == (str(dead), "gave up")


def test_an_empty_dead_letter_queue_says_so(direct: DirectStore) -> None:
    answer = done("dlq", "list")

    assert (answer.out, answer.err) == ("", "No such tasks. See the others: celers task list\n")


def test_show_has_the_traceback_of_every_attempt(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)
    rows.failed_attempt(direct, dead)

    assert "Traceback (most recent call last):" in done("dlq", "show", str(dead)).out


def test_show_says_of_another_task_what_it_is(direct: DirectStore) -> None:
    [waiting] = rows.waiting(direct)

    answer = celers("dlq", "show", str(waiting))
    assert answer.code == 1
    assert errors(answer) == [f"{waiting} is pending, not dead. See: celers task show {waiting}"]


def test_requeue_all_makes_every_dead_task_pending(direct: DirectStore) -> None:
    rows.dead(direct, 3)

    assert done("dlq", "requeue", "--all").out == "requeued 3 tasks.\n"
    assert rows.counts(direct) == {"pending": 3}
    assert done("dlq", "requeue", "--all").out == "no dead task matches: nothing to do.\n"


def test_requeue_takes_more_than_one_batch(direct: DirectStore) -> None:
    rows.dead(direct, 1_200)

    assert done("dlq", "requeue", "--all").out == "requeued 1,200 tasks.\n"
    assert rows.counts(direct) == {"pending": 1_200}


def test_requeue_by_id_does_those_that_are_dead_and_names_the_others(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)
    [waiting] = rows.waiting(direct)
    unknown = new_id()

    answer = celers("dlq", "requeue", str(dead), str(waiting), str(unknown))

    assert (answer.code, answer.out) == (1, "requeued 1 task.\n")
    assert errors(answer) == [
        f"{waiting} is pending, not dead.",
        f"there is no task {unknown}, or its retention is over. See: celers task list",
    ]
    assert rows.counts(direct) == {"pending": 2}


@pytest.mark.parametrize(
    "filters",
    [
        ["--queue", "emails"],
        ["--name", "other"],
        ["--error", "timeout"],
        ["--older-than", "1h"],
        ["--fingerprint", "f"],
    ],
)
@pytest.mark.parametrize("verb", ["requeue", "purge"])
def test_filters_choose_one_of_two(direct: DirectStore, verb: str, filters: list[str]) -> None:
    [stays] = rows.dead(direct)
    [goes] = rows.dead(
        direct, queue="emails", name="other", error="TimeoutError: timeout", fingerprint="f"
    )
    rows.died_long_ago(direct, goes, timedelta(hours=2))

    dry = done("dlq", verb, "--dry-run", *filters)
    assert dry.out.startswith("would ")
    assert "1 dead task" in dry.out
    assert rows.counts(direct) == {"failed": 2}
    done("dlq", verb, "--yes", *filters)
    assert rows.state(direct, goes) == ("pending" if verb == "requeue" else None)
    assert rows.state(direct, stays) == "failed"


def test_limit_takes_the_oldest(direct: DirectStore) -> None:
    ids = rows.dead(direct, 3)

    assert done("dlq", "requeue", "--all", "--limit", "2").out == "requeued 2 tasks.\n"
    assert [rows.state(direct, task_id) for task_id in ids] == ["pending", "pending", "failed"]


def test_requeued_tasks_can_be_due_later(direct: DirectStore) -> None:
    rows.dead(direct)

    assert done("dlq", "requeue", "--all", "--delay", "10m").out == (
        "requeued 1 task, due in 10m.\n"
    )
    [row] = rows.live(direct)
    assert row.scheduled_at - row.created_at > timedelta(minutes=9)


def test_tasks_whose_unique_key_is_taken_stay_and_do_not_stop_the_others(
    direct: DirectStore,
) -> None:
    keys = [f"k{number}" for number in range(520)]
    conflicting = rows.with_keys(direct, keys)
    rows.bury(direct, conflicting)
    rows.with_keys(direct, keys)
    rows.dead(direct, 600)

    answer = done("dlq", "requeue", "--all")

    assert answer.out == "requeued 600 tasks.\n"
    assert answer.err == (
        f"520 dead tasks stayed: a live task has the unique key. The first is {conflicting[0]}\n"
    )
    assert rows.counts(direct) == {"pending": 1_120, "failed": 520}


def test_purge_deletes_for_good(direct: DirectStore) -> None:
    dead = rows.dead(direct, 700)

    assert done("dlq", "purge", str(dead[0]), "--yes").out == "deleted 1 dead task.\n"
    assert done("dlq", "purge", "--all", "--yes").out == "deleted 699 dead tasks.\n"
    assert rows.counts(direct) == {}
    answer = celers("dlq", "purge", str(dead[0]), "--yes")
    assert (answer.code, len(errors(answer))) == (1, 1)


@pytest.mark.parametrize("verb", ["requeue", "purge"])
def test_without_a_choice_nothing_happens(direct: DirectStore, verb: str) -> None:
    rows.dead(direct)

    answer = celers("dlq", verb, "--yes")
    assert answer.code == 2
    assert errors(answer) == [
        f"which tasks to {verb}? Give ids, or filters such as --queue and --error, or --all."
    ]
    assert celers("dlq", verb, "--yes", "--all", "--queue", "x").code == 2
    assert rows.counts(direct) == {"failed": 1}


def test_purge_without_a_terminal_must_be_confirmed(direct: DirectStore) -> None:
    rows.dead(direct, 2)

    answer = celers("dlq", "purge", "--all")
    assert answer.code == 2
    assert errors(answer) == [
        "Delete 2 dead tasks for good? Nobody can be asked here: confirm with --yes."
    ]
    assert rows.counts(direct) == {"failed": 2}


def test_stats_count_the_dead_by_name_and_kind_of_error(direct: DirectStore) -> None:
    rows.dead(direct, 2, error="ValueError: no such user 1", name="send")
    rows.dead(direct, 1, error="ValueError: no such user 2", name="send")
    rows.dead(direct, 1, error="TimeoutError", name="send")
    rows.dead(direct, 1, error="ValueError: x", name="other", queue="b")

    head, *lines = done("dlq", "stats").lines
    assert head.split() == ["DEAD", "NAME", "ERROR", "RUNS", "FIRST", "LAST"]
    assert [line.split()[:3] for line in lines] == [
        ["3", "send", "ValueError"],
        ["1", "other", "ValueError"],
        ["1", "send", "TimeoutError"],
    ]
    by_name = done("dlq", "stats", "--by", "name", "--format", "json").json
    assert [(one["name"], one["count"]) for one in by_name] == [("send", 4), ("other", 1)]
    assert done("dlq", "stats", "-q", "b", "--format", "json").json[0]["count"] == 1
    assert done("dlq", "stats", "-q", "none").err == "No task is dead.\n"
