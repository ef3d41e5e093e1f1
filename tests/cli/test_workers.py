from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import done


def test_workers_are_listed_with_what_they_serve(direct: DirectStore) -> None:
    rows.worker(direct, "send", queues=("emails", "reports"))

    _, line = done("workers", "list").lines
    assert line.split()[:6] == ["worker-1", "mail-1", "running", "0/8", "host-1", "4711"]
    assert line.endswith("emails, reports")
    [document] = done("workers", "list", "--format", "json").json
    assert (document["id"], document["handlers"]) == ("worker-1", ["send"])
    assert 0 <= document["heartbeat_age_seconds"] < 60


def test_no_workers_say_how_to_start_one(direct: DirectStore) -> None:
    answer = done("workers", "list")
    assert (answer.out, answer.err) == ("", "No workers. Start one: celers worker\n")
