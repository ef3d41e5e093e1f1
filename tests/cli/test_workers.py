"""``celers workers`` lists workers and tells them what to do, through their rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from celers_worker.store import maintenance, orders, sql, survey
from celers_worker.store.direct import DirectStore
from celers_worker.store.survey import WorkerView
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def another(direct: DirectStore, worker: str, name: str, **changes: object) -> None:
    card = maintenance.WorkerCard(
        id=worker,
        name=name,
        host="host-2",
        pid=1,
        version="1.0",
        queues=[],
        handlers=["send"],
        concurrency=4,
    )
    direct.run(maintenance.register, card, timedelta(minutes=5))


def view(direct: DirectStore, worker: str = "worker-1") -> WorkerView:
    [found] = [one for one in direct.run(survey.list_workers) if one.id == worker]
    return found


def test_workers_are_listed_with_what_they_serve(direct: DirectStore) -> None:
    rows.worker(direct, "send", queues=("emails", "reports"))

    _, line = done("workers", "list").lines
    assert line.split()[:6] == ["worker-1", "mail-1", "running", "0/8", "host-1", "4711"]
    assert line.endswith("emails, reports")
    [document] = done("workers", "list", "--format", "json").json
    assert (document["id"], document["handlers"]) == ("worker-1", ["send"])
    assert 0 <= document["heartbeat_age_seconds"] < 60
    assert 200 < document["lease_left_seconds"] <= 300


def test_no_workers_say_how_to_start_one(direct: DirectStore) -> None:
    answer = done("workers", "list")
    assert (answer.out, answer.err) == ("", "No workers. Start one: celers worker\n")


def test_a_worker_is_shown_with_what_it_runs_and_since_when(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    task_id = rows.running(direct)
    rows.change(direct, task_id, started_at=sql.later(-90))
    direct.run(maintenance.renew, "worker-1", timedelta(minutes=5), running=1, state="running")

    page = done("workers", "show", "worker-1").out
    assert "permits   1 of 8 in use" in page
    assert "host-1, pid 4711" in page
    assert str(task_id) in page
    assert "1m3" in page.splitlines()[-1], "how long it has been running"
    document = done("workers", "show", "mail-1", "--format", "json").json
    [task] = document["tasks"]
    assert (task["id"], task["name"], task["attempt"]) == (str(task_id), "send", 1)
    assert 89 < task["running_seconds"] < 120


@pytest.mark.parametrize(
    ("verb", "wanted"),
    [("quiet", "quiet"), ("resume", "running"), ("drain", "draining"), ("stop", "stopping")],
)
def test_a_worker_is_told_by_id_by_its_beginning_or_by_name(
    direct: DirectStore, verb: str, wanted: str
) -> None:
    rows.worker(direct, "send")
    for name in ("worker-1", "work", "mail-1"):
        answer = done("workers", verb, name)
        assert answer.out.startswith("1 worker told to")
        if wanted != "stopping":
            assert view(direct).wanted_state == wanted
        else:
            break
    assert view(direct).wanted_state == wanted
    assert "@" in (view(direct).wanted_by or "")
    shown = wanted if wanted == "running" else f"running, to be {wanted}"
    assert shown in done("workers", "list").out


def test_all_workers_are_told_at_once(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    another(direct, "other", "mail-2")
    assert done("workers", "quiet", "--all").out.startswith("2 workers told to be quiet")
    assert {one.wanted_state for one in direct.run(survey.list_workers)} == {"quiet"}


def test_workers_are_scaled(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    another(direct, "other", "mail-2")
    done("workers", "scale", "mail-1", "3")
    assert view(direct).wanted_concurrency == 3
    assert view(direct, "other").wanted_concurrency is None
    done("workers", "scale", "--all", "5")
    assert view(direct, "other").wanted_concurrency == 5
    assert celers("workers", "scale", "mail-1", "0").code == 2


def test_to_end_all_workers_asks_first_and_can_be_tried(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    assert done("workers", "stop", "--all", "--dry-run").out.startswith("would stop 1 worker")
    assert view(direct).wanted_state is None
    refused = celers("workers", "drain", "--all")
    assert refused.code == 2
    assert "confirm with --yes" in refused.err
    done("workers", "drain", "--all", "--yes")
    assert view(direct).wanted_state == "draining"


def test_an_unknown_an_ambiguous_and_a_lost_worker_are_told_apart(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    another(direct, "worker-2", "mail-1")
    another(direct, "gone", "mail-3")
    direct.run(
        lambda transaction: transaction.connection.execute(
            text("UPDATE celers_workers SET expires_at = started_at WHERE id = 'gone'")
        )
    )
    answer = celers("workers", "quiet", "mail-1", "wor", "gone", "mali-1")
    assert answer.code == 1
    problems = errors(answer)
    assert problems[0] == "'mail-1' may be 2 workers: worker-1, worker-2. Give a whole id."
    assert problems[1].startswith("'wor' may be 2 workers")
    assert problems[2] == "worker 'gone' is lost: it reads no orders. See: celers workers list"
    assert problems[3].startswith("there is no worker 'mali-1'. Did you mean 'mail-1'?")
    assert view(direct).wanted_state is None, "nobody was told"


def test_workers_must_be_named_or_all_meant(direct: DirectStore) -> None:
    assert celers("workers", "quiet").code == 2
    assert celers("workers", "quiet", "--all", "worker-1").code == 2
    assert celers("workers", "quiet", "--all").code == 1, "none lives"


def test_one_that_stops_is_told_nothing_else(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    done("workers", "stop", "worker-1")
    assert celers("workers", "resume", "worker-1").code == 1


# --- handlers ---


def test_a_handler_is_paused_and_resumed_for_all_workers(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    answer = done("queue", "pause", "--handler", "send", "--reason", "the bank is down")
    assert answer.out == "send is paused. Go on with: celers queue resume --handler send\n"
    assert answer.err == ""
    [held] = done("handlers", "held", "--format", "json").json
    assert held["name"] == "send"
    assert held["paused_reason"].endswith(": the bank is down")
    assert "send     paused" in done("handlers", "held").out
    assert "Held: send, paused" in done("queue", "list").err
    assert done("queue", "resume", "--handler", "send").out == "send is resumed.\n"
    assert done("queue", "resume", "--handler", "send").out == "send was not held.\n"
    assert "No handler is held" in done("handlers", "held").err


def test_a_handler_that_no_worker_has_is_paused_with_a_note(direct: DirectStore) -> None:
    rows.worker(direct, "send")
    answer = done("queue", "pause", "--handler", "sent")
    assert "no live worker has a handler 'sent'. Did you mean 'send'?" in answer.err


def test_an_open_circuit_is_listed_and_closed_by_hand(direct: DirectStore) -> None:
    direct.run(orders.open_circuit, "send", "ConnectionError: down", 30.0)
    line = done("handlers", "held").lines[1]
    assert line.split()[:2] == ["send", "circuit"]
    assert line.endswith("ConnectionError: down")
    done("queue", "resume", "--handler", "send")
    assert direct.run(orders.held) == []


def test_a_queue_or_a_handler_is_meant_not_both(direct: DirectStore) -> None:
    for arguments in ([], ["emails", "--handler", "send"]):
        for verb in ("pause", "resume"):
            answer = celers("queue", verb, *arguments)
            assert answer.code == 2
            assert "Give a queue, or --handler NAME" in answer.err
