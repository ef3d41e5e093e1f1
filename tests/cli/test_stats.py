from celers_worker.core.outcome import Completed, Settlement
from celers_worker.core.task import Demand
from celers_worker.store.direct import DirectStore
from celers_worker.store.levels import Levels
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def complete(direct: DirectStore) -> None:
    """Complete every task that is due."""
    demand = Demand(total=100, others=100)
    claimed = direct.run(lambda transaction: transaction.claim("worker-1", demand, Levels()))
    settlements = [Settlement(task, Completed()) for task in claimed]
    direct.run(lambda transaction: transaction.settle("worker-1", settlements))


def test_stats_tell_how_what_ended_went(direct: DirectStore) -> None:
    rows.waiting(direct, 3, name="a", queue="x")
    rows.waiting(direct, 1, name="b", queue="y")
    complete(direct)

    document = done("stats", "--format", "json").json
    assert (document["window_seconds"], document["covered_seconds"]) == (3600, 3600)
    [group] = document["groups"]
    assert (group["ended"], group["completed"], group["failed"]) == (4, 4, 0)
    assert group["failure_rate"] == group["retry_rate"] == 0
    assert 0 <= group["run_seconds"]["p50"] <= group["total_seconds"]["max"]

    head, titles, *lines = done("stats", "--by", "name", "--window", "10m").lines
    assert head == "4 tasks ended within 10m."
    assert titles.split()[:3] == ["NAME", "ENDED", "PER"]
    assert [line.split()[:2] for line in lines] == [["a", "3"], ["b", "1"]]
    assert "y" in done("stats", "--by", "queue").lines[3]
    assert done("stats", "-q", "y", "--format", "json").json["groups"][0]["ended"] == 1


def test_no_stats_say_so(direct: DirectStore) -> None:
    answer = done("stats", "--window", "5m")
    assert (answer.out, answer.err) == ("", "No task ended within 5m.\n")
    assert done("stats", "--format", "json").json["groups"] == []


def test_queue_stats_count_by_name_and_by_age(direct: DirectStore) -> None:
    rows.waiting(direct, 2, name="a", queue="mail")
    rows.dead(direct, name="b", queue="mail")

    documents = done("queue", "stats", "--by", "name", "--format", "json").json
    assert [(one["name"], one["pending"], one["dead"]) for one in documents] == [
        ("a", 2, 0),
        ("b", 0, 1),
    ]
    assert done("queue", "stats", "mail", "--by", "name").lines[1].split() == [
        *("mail", "a", "2", "0", "0", "0", "0"),
    ]
    [ages] = done("queue", "stats", "--ages", "--format", "json").json
    assert (ages["queue"], ages["under_1m"], ages["older"]) == ("mail", 2, 0)
    assert done("queue", "stats", "--ages").lines[1].split() == ["mail", "2", "0", "0", "0", "0"]
    answer = celers("queue", "stats", "--ages", "--by", "name")
    assert (answer.code, errors(answer)) == (
        2,
        ["--ages and --by name are two lists: choose one."],
    )
