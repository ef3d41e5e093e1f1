import json
from datetime import datetime
from pathlib import Path

import pytest

from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.progress import Progress
from celers_worker.core.task import Demand, new_id
from celers_worker.store.direct import DirectStore
from celers_worker.store.levels import Levels
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def complete(direct: DirectStore, result: bytes | None) -> None:
    """Claim every task that is due, and complete it with *result*."""
    demand = Demand(total=100, others=100)
    claimed = direct.run(lambda transaction: transaction.claim("worker-1", demand, Levels()))
    settlements = [Settlement(task, Completed(result)) for task in claimed]
    direct.run(lambda transaction: transaction.settle("worker-1", settlements))


def test_list_shows_tasks_wherever_they_are_the_newest_first(direct: DirectStore) -> None:
    first = rows.running(direct, name="first")
    [second] = rows.dead(direct, name="second", error="ValueError: no such user")
    [third] = rows.waiting(direct, name="third", queue="emails")

    answer = done("task", "list")

    head, *lines = answer.lines
    assert head.split() == ["ID", "STATE", "NAME", "QUEUE", "RUNS", "WHEN", "ERROR"]
    assert [line.split()[:4] for line in lines] == [
        [str(third), "pending", "third", "emails"],
        [str(second), "failed", "second", "default"],
        [str(first), "processing", "first", "default"],
    ]
    assert lines[1].endswith("ValueError: no such user")


def test_list_as_json_has_stable_keys_and_iso_instants(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct, unique_key="k", priority=3)

    [document] = done("task", "list", "--format", "json").json

    assert list(document) == [
        *("id", "name", "queue", "state", "priority", "retry_count", "crash_count"),
        *("max_retries", "lease", "created_at", "scheduled_at", "started_at", "completed_at"),
        *("expires_at", "timeout", "worker", "error", "reason", "unique_key", "fingerprint"),
        "cancel_requested",
    ]
    assert document["id"] == str(task_id)
    assert (document["state"], document["priority"]) == ("pending", 3)
    assert datetime.fromisoformat(document["created_at"]).utcoffset() is not None


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--state", "pending"], ["a", "b"]),
        (["--state", "failed", "--state", "processing"], ["c", "d"]),
        (["--queue", "emails"], ["b"]),
        (["--name", "a"], ["a"]),
        (["--worker", "worker-1"], ["d"]),
        (["--fingerprint", "f"], ["a"]),
        (["--unique-key", "k"], ["b"]),
        (["--error", "SUCH user"], ["c"]),
        (["--error", "100%"], []),
        (["--older-than", "1h"], []),
    ],
)
def test_list_and_count_choose_by_filters(
    direct: DirectStore, filters: list[str], found: list[str]
) -> None:
    rows.waiting(direct, name="a", fingerprint="f")
    rows.waiting(direct, name="b", queue="emails", unique_key="k")
    rows.dead(direct, name="c")
    rows.running(direct, name="d")

    listed = done("task", "list", "--format", "json", *filters).json
    assert sorted(task["name"] for task in listed) == found
    assert done("task", "count", *filters).out == f"{len(found)}\n"
    assert done("task", "count", "--format", "json", *filters).json == {"count": len(found)}


def test_a_long_list_is_read_in_pages(direct: DirectStore) -> None:
    ids = [str(task_id) for task_id in rows.waiting(direct, 5)]

    page = done("task", "list", "--limit", "2")
    assert [line.split()[0] for line in page.lines[1:]] == [ids[4], ids[3]]
    assert page.err == f"There may be more: say the same with --after {ids[3]}\n"
    rest = done("task", "list", "--limit", "3", "--after", ids[3], "--format", "json").json
    assert [task["id"] for task in rest] == ids[2::-1]


def test_an_empty_list_names_the_next_command(direct: DirectStore) -> None:
    answer = done("task", "list")

    assert answer.out == ""
    assert answer.err == "No such tasks. Add one: celers enqueue NAME key=value\n"
    assert done("task", "list", "--format", "json").json == []


def test_show_tells_everything_about_a_task(direct: DirectStore) -> None:
    [task_id] = rows.dead(direct, payload=b'{"to": "ada"}', fingerprint="f")
    rows.failed_attempt(direct, task_id)

    text = done("task", "show", str(task_id)).out
    for part in (str(task_id), "failed", "gave up", '"to": "ada"', "attempt 1", "  ValueError: no"):
        assert part in text
    document = done("task", "show", str(task_id), "--format", "json").json
    assert document["payload"] == {"to": "ada"}
    assert document["attempts"][0]["traceback"] == rows.TRACEBACK
    assert document["reason"] == "gave up"


def test_show_prints_the_result_of_a_completed_task(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)
    complete(direct, b'{"sent": true}')

    assert '"sent": true' in done("task", "show", str(task_id)).out
    document = done("task", "show", str(task_id), "--format", "json").json
    assert (document["state"], document["result"]) == ("completed", {"sent": True})


def test_show_tells_how_far_its_handler_is(direct: DirectStore) -> None:
    task_id = rows.running(direct)
    rows.progress(direct, task_id, Progress(3, 12, "pages"))

    assert "3/12 (25%) pages, " in done("task", "show", str(task_id)).out
    told = done("task", "show", str(task_id), "--format", "json").json["progress"]
    assert (told["done"], told["total"], told["message"]) == (3, 12, "pages")


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_show_says_of_a_payload_that_it_is_no_json(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct, payload=b"\xff\x00\x1b[31m")

    assert "7 bytes that are not JSON" in done("task", "show", str(task_id)).out
    document = done("task", "show", str(task_id), "--format", "json").json
    assert (document["payload"], document["payload_bytes"]) == (None, "/wAbWzMxbQ==")


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_escapes_in_what_the_database_holds_do_not_reach_the_terminal(
    direct: DirectStore,
) -> None:
    evil = "\x1b]0;owned\x07 \x1b[2J \u202egnp.exe"
    [task_id] = rows.dead(
        direct, error=evil, payload=json.dumps({"to": evil}, ensure_ascii=False).encode()
    )

    for command in (("list",), ("show", str(task_id))):
        for style in ("table", "json"):
            text = done("task", *command, "--format", style).out
            assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert done("task", "list", "--format", "json").json[0]["error"] == evil


def test_cancel_ends_waiting_tasks_and_asks_running_ones_to_stop(direct: DirectStore) -> None:
    [waiting] = rows.waiting(direct)
    running = rows.running(direct)

    answer = done("task", "cancel", str(waiting), str(running), "--reason", "by mistake")

    assert answer.lines == [f"{waiting} is cancelled.", f"{running} is asked to stop."]
    assert rows.state(direct, waiting) == "cancelled"
    [row] = rows.live(direct)
    assert (row.id, row.cancel_reason) == (running, "by mistake")


def test_cancel_twice_is_as_good_as_once(direct: DirectStore) -> None:
    [waiting] = rows.waiting(direct)
    running = rows.running(direct)

    once = done("task", "cancel", str(waiting), str(running))
    assert done("task", "cancel", str(waiting), str(running)) == once


def test_cancel_leaves_what_has_ended_and_does_the_others(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)
    [waiting] = rows.waiting(direct)
    unknown = new_id()

    answer = celers("task", "cancel", str(dead), str(unknown), str(waiting))

    assert answer.code == 1
    assert errors(answer) == [
        f"{dead} has ended already: it is failed.",
        f"there is no task {unknown}, or its retention is over. See: celers task list",
    ]
    assert rows.counts(direct) == {"failed": 1, "cancelled": 1}


def test_cancel_by_filters_counts_and_leaves_the_others(direct: DirectStore) -> None:
    rows.waiting(direct, 3, queue="emails")
    rows.running(direct, queue="emails")
    rows.waiting(direct, 2)

    assert done("task", "cancel", "-q", "emails", "--dry-run").out == "would cancel 4 tasks.\n"
    assert rows.counts(direct) == {"pending": 5, "processing": 1}
    answer = done("task", "cancel", "-q", "emails", "--yes")
    assert answer.out == "cancelled 3 tasks, asked the workers to stop 1 more that run.\n"
    assert rows.counts(direct) == {"pending": 2, "processing": 1, "cancelled": 3}
    again = done("task", "cancel", "--state", "pending", "-q", "emails", "--yes")
    assert again.out == "no live task matches: nothing to cancel.\n"


def test_cancel_takes_more_tasks_than_one_batch(direct: DirectStore) -> None:
    rows.waiting(direct, 1_200)

    assert done("task", "cancel", "--name", "send", "--yes").out == "cancelled 1,200 tasks.\n"
    assert rows.counts(direct) == {"cancelled": 1_200}


def test_retry_starts_dead_and_cancelled_tasks_anew(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)
    [cancelled] = rows.waiting(direct)
    done("task", "cancel", str(cancelled))

    answer = done("task", "retry", str(dead), str(cancelled))

    assert answer.lines == [
        f"{dead} was failed and is pending again.",
        f"{cancelled} was cancelled and is pending again.",
    ]
    assert rows.counts(direct) == {"pending": 2}
    assert done("task", "retry", str(dead)).out == f"{dead} is due now.\n"


def test_retry_makes_a_delayed_task_due_now(direct: DirectStore) -> None:
    [task_id] = [rows.UUID(done("enqueue", "send", "--delay", "1h").out.strip())]

    done("task", "retry", str(task_id))

    [row] = rows.live(direct)
    assert (row.scheduled_at - row.created_at).total_seconds() < 60


def test_retry_leaves_running_and_unknown_tasks_and_says_so(direct: DirectStore) -> None:
    running, unknown = rows.running(direct), new_id()
    [waiting] = rows.waiting(direct)

    answer = celers("task", "retry", str(running), str(unknown), str(waiting))

    assert (answer.code, answer.out) == (1, f"{waiting} is due now.\n")
    assert errors(answer) == [
        f"{running} is processing: it was left alone.",
        f"there is no task {unknown}, or its retention is over. See: celers task list",
    ]


def test_retry_says_which_unique_key_stands_in_the_way(direct: DirectStore) -> None:
    [dead] = rows.dead(direct, unique_key="k")
    rows.waiting(direct, unique_key="k")

    answer = celers("task", "retry", str(dead))

    assert answer.code == 1
    assert "'k'" in answer.err
    assert rows.counts(direct) == {"failed": 1, "pending": 1}


def test_wait_prints_the_result_as_json(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)
    complete(direct, b'{"sent": [1, 2]}')

    assert done("task", "wait", str(task_id)).json == {"sent": [1, 2]}


def test_wait_fails_for_a_task_that_did_not_complete(direct: DirectStore) -> None:
    [dead] = rows.dead(direct)
    [waiting] = rows.waiting(direct)

    answer = celers("task", "wait", str(dead))
    assert (answer.code, errors(answer)) == (1, [f"task {dead} failed: ValueError: no such user"])
    answer = celers("task", "wait", str(waiting), "--timeout", "30ms")
    assert answer.code == 1
    assert errors(answer) == [f"task {waiting} is still pending after 30ms; it goes on."]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_command_reads_the_database_of_the_configuration_file(
    migrated_url: str,
    direct: DirectStore,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows.waiting(direct)
    monkeypatch.delenv("CELERS_DATABASE_URL")
    (workplace / "other.toml").write_text(f'[database]\nurl = "{migrated_url}"\n')

    assert done("task", "count").out == "0\n"
    assert done("--config", "other.toml", "task", "count").out == "1\n"
    assert done("--database", migrated_url, "task", "count").out == "1\n"
