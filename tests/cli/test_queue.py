from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def test_list_shows_every_queue_with_its_state(direct: DirectStore) -> None:
    rows.waiting(direct, 2, queue="emails")
    rows.running(direct, queue="reports")
    rows.dead(direct, queue="reports")
    done("queue", "pause", "emails")

    head, *lines = done("queue", "list").lines
    assert head.split() == ["QUEUE", "STATE", "WAITING", "RUNNING", "DEAD"]
    assert [line.split() for line in lines] == [
        ["emails", "paused", "2", "0", "0"],
        ["reports", "no", "worker", "0", "1", "1"],
    ]
    rows.worker(direct)
    assert "open" in done("queue", "list").lines[2]


def test_stats_count_by_state(direct: DirectStore) -> None:
    rows.waiting(direct, 2, queue="emails")
    done("enqueue", "send", "--queue", "emails", "--delay", "1h")
    rows.running(direct, queue="emails")
    rows.dead(direct, queue="emails")
    rows.worker(direct, queues=("emails",))
    done("queue", "pause", "emails", "--reason", "the relay is down")

    document = done("queue", "stats", "emails", "--format", "json").json
    expected = {"name": "emails", "pending": 2, "scheduled": 1, "blocked": 0, "processing": 1}
    assert document == document | expected | {"dead": 1, "workers": 1}
    assert 0 <= document["oldest_pending_seconds"] < 60
    assert document["paused_reason"].endswith(": the relay is down")
    assert "the relay is down" in done("queue", "stats").lines[1]


def test_queues_as_json_have_stable_keys(direct: DirectStore) -> None:
    rows.waiting(direct)

    [document] = done("queue", "list", "--format", "json").json
    assert list(document) == [
        *("name", "pending", "scheduled", "blocked", "processing", "dead"),
        *("oldest_pending_seconds", "workers", "paused_at", "paused_reason"),
    ]


def test_stats_of_an_unknown_queue_name_the_nearest(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")

    answer = celers("queue", "stats", "email")
    assert answer.code == 1
    assert errors(answer) == [
        "there is no queue 'email'. Did you mean 'emails'? See: celers queue list"
    ]


def test_no_queues_say_so(direct: DirectStore) -> None:
    for command in ("list", "stats"):
        answer = done("queue", command)
        assert (answer.out, answer.err.split(":")[0]) == ("", "No queues yet")
        assert done("queue", command, "--format", "json").json == []


def test_pause_and_resume_are_written_and_told(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")

    paused = done("queue", "pause", "emails")
    assert paused.out == "emails is paused. Go on with: celers queue resume emails\n"
    assert paused.err == ""
    [document] = done("queue", "list", "--format", "json").json
    assert document["paused_at"] is not None
    assert document["paused_reason"].startswith("by ")

    assert done("queue", "resume", "emails").out == "emails is resumed.\n"
    [document] = done("queue", "list", "--format", "json").json
    assert document["paused_at"] is None
    assert done("queue", "resume", "emails").out == "emails was not paused.\n"


def test_a_queue_that_nobody_knows_yet_can_be_paused_with_a_note(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")

    answer = done("queue", "pause", "email")
    assert answer.err == (
        "Note: no task and no worker knows a queue 'email' yet. Did you mean 'emails'?\n"
    )
    assert done("queue", "resume", "emial").out == "emial was not paused. Did you mean 'email'?\n"


def test_purge_cancels_the_waiting_tasks_of_one_queue(direct: DirectStore) -> None:
    rows.waiting(direct, 600, queue="emails")
    rows.running(direct, queue="emails")
    rows.waiting(direct, queue="reports")

    assert done("queue", "purge", "emails", "--dry-run").out == (
        "would cancel 600 waiting tasks of emails.\n"
    )
    answer = celers("queue", "purge", "emails")
    assert (answer.code, rows.counts(direct)["pending"]) == (2, 601)
    assert done("queue", "purge", "emails", "--yes").out == (
        "cancelled 600 waiting tasks of emails.\n"
    )
    assert rows.counts(direct) == {"pending": 1, "processing": 1, "cancelled": 600}
    assert done("queue", "purge", "emails", "--yes").out == (
        "no task waits in emails: nothing to do.\n"
    )
