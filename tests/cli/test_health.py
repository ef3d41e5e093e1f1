from pathlib import Path

import pytest

from celers_worker.core.task import TaskState
from celers_worker.store import control
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done


def test_a_system_that_is_well_is_0(direct: DirectStore) -> None:
    rows.worker(direct)
    rows.waiting(direct)

    answer = done("health")
    assert answer.lines[0].split() == ["CHECK", "STATE", "FOUND", "LIMIT"]
    assert answer.lines[-1] == "all is well."
    document = done("health", "--format", "json").json
    assert (document["ok"], document["workers"]) == (True, 1)
    assert [check["name"] for check in document["checks"]] == [
        *("database", "workers", "backlog age"),
    ]


def test_a_limit_that_is_passed_is_1(direct: DirectStore) -> None:
    rows.dead(direct, 3)

    answer = celers("health")
    assert answer.code == 1
    assert "ILL" in answer.out
    assert answer.err == "Something is not well.\n"
    assert celers("health", "--min-workers", "0").code == 0
    assert celers("health", "--min-workers", "0", "--max-dead", "2").code == 1
    assert celers("health", "--min-workers", "0", "--max-dead", "3").code == 0


def test_a_backlog_that_is_too_old_is_1_unless_it_is_paused(direct: DirectStore) -> None:
    from celers_worker.store import sql

    [task_id] = rows.waiting(direct, queue="mail")
    rows.change(direct, task_id, scheduled_at=sql.later(-600))

    answer = celers("health", "--min-workers", "0", "--format", "json")
    assert (answer.code, answer.json["ok"]) == (1, False)
    assert answer.json["backlog_age_seconds"] >= 600
    assert celers("health", "--min-workers", "0", "--max-backlog-age", "1h").code == 0
    direct.run(control.pause, "mail", None)
    assert celers("health", "--min-workers", "0").code == 0
    assert rows.state(direct, task_id) == TaskState.PENDING


def test_only_the_workers_of_the_queue_count_for_it(direct: DirectStore) -> None:
    rows.worker(direct, queues=("mail",))

    assert celers("health", "-q", "mail").code == 0
    assert celers("health", "-q", "reports").code == 1


def test_tables_of_another_version_are_2(direct: DirectStore) -> None:
    from celers_worker.store.schema import HEAD

    rows.stamp(direct, "9999")
    try:
        answer = celers("health", "--format", "json")
        assert (answer.code, answer.json["ok"], answer.json["workers"]) == (2, False, None)
        assert "9999" in answer.json["checks"][0]["found"]
    finally:
        rows.stamp(direct, HEAD)


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:9/none", "mysql://nobody@127.0.0.1:9/none"]
)
def test_a_database_that_does_not_answer_is_2(url: str) -> None:
    answer = celers("--database", url, "health", "--timeout", "1s")
    assert answer.code == 2
    assert "ILL" in answer.out


def test_a_probe_makes_no_file(workplace: Path) -> None:
    answer = celers("health")
    assert answer.code == 2
    assert "there is no file" in answer.out
    assert list(workplace.iterdir()) == []
