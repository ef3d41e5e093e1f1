"""``celers bench``: it measures, and afterwards nothing of it is left, however it ended."""

import json
import os
import signal
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from celers_worker.benchmark.knee import found
from celers_worker.benchmark.scenarios import SCENARIOS
from celers_worker.cli import bench
from celers_worker.core.task import NewTask, new_id
from celers_worker.store import control, footprint, maintenance, sql, survey
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import archive, metadata, results, workers
from celers_worker.store.survey import WorkerView
from celers_worker.store.transaction import Transaction
from tests.cli import rows
from tests.cli.shell import SECONDS, celers, errors, run, started
from tests.waiting import eventually_sync

QUICK = ("--seconds", "0.1", "--tasks", "200")
on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def contents(direct: DirectStore) -> dict[str, list[str]]:
    """Every row of every table."""
    return direct.run(
        lambda transaction: {
            table.name: sorted(map(str, transaction.connection.execute(select(table))))
            for table in metadata.sorted_tables
        }
    )


@pytest.fixture
def beside(direct: DirectStore) -> dict[str, list[str]]:
    """What is in the database besides: also work that a reaper or a janitor would do."""
    rows.waiting(direct, 3, name="celers.bench.nothing", queue="emails")
    rows.waiting(direct, delay=timedelta(days=1), unique_key="daily")
    for task_id in rows.dead(direct, 2):
        rows.failed_attempt(direct, task_id)
    rows.running(direct)
    rows.worker(direct, queues=("emails",))
    old = rows.waiting(direct)
    direct.run(control.pause, "reports", "the relay is down")

    def age(transaction: Transaction) -> None:
        connection = transaction.connection
        connection.execute(update(workers).values(expires_at=sql.later(-60)))
        transaction.archive_cancelled(old, "long ago")
        connection.execute(update(archive).values(completed_at=sql.later(-90 * 86_400)))
        connection.execute(insert(results).values(task_id=old[0], result=b"1"))

    direct.run(age)
    return contents(direct)


def busy_worker(direct: DirectStore) -> WorkerView:
    """The worker that is measured, when it works."""

    def view() -> WorkerView | None:
        views = direct.run(survey.list_workers)
        return next((view for view in views if view.name == "celers bench"), None)

    return eventually_sync(view, within=SECONDS)


def test_it_measures_and_leaves_the_database_as_it_was(
    direct: DirectStore, beside: dict[str, list[str]]
) -> None:
    wanted = ("--scenario", "enqueue", "--scenario", "drain", "--scenario", "latency")
    ended = run("bench", *wanted, *QUICK, "--format", "json")

    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert list(document) == [
        *("database", "server", "version", "python", "processors", "seconds", "tasks", "figures")
    ]
    figures = {one["name"]: one for one in document["figures"]}
    assert {"enqueue, 1 caller", "enqueue, 8 callers", "enqueue_many"} <= set(figures)
    assert {"drain, 1 process", "latency from commit, p50", "latency from call, p99"} <= set(
        figures
    )
    assert all(list(one) == ["name", "value", "unit", "hint"] for one in figures.values())
    assert all(one["value"] > 0 for name, one in figures.items() if "commit" not in name)
    assert ended.stderr.splitlines()[0] == "measuring enqueue (1 of 3)"
    assert contents(direct) == beside


@on_sqlite
def test_the_knee_is_looked_for_in_steps_and_told_as_a_setting(
    direct: DirectStore, beside: dict[str, list[str]]
) -> None:
    ended = run("bench", "--scenario", "knee", *QUICK)

    assert ended.returncode == 0, ended.stderr
    head, empty, titles, *lines = ended.stdout.splitlines()
    assert head.startswith("SQLite ")
    assert (empty, titles.split()) == ("", ["MEASURED", "FIGURE", "UNIT", "HINT"])
    assert lines[0].startswith("drain at concurrency 10 ")
    assert lines[-1].startswith("knee of concurrency ")
    assert "[worker] concurrency = " in lines[-1]
    assert contents(direct) == beside


def test_the_knee_is_the_first_step_that_no_later_one_beats_by_a_tenth() -> None:
    assert found([(10, 100.0)]) == 10
    assert found([(10, 100.0), (50, 400.0), (100, 430.0)]) == 50
    assert found([(10, 100.0), (50, 400.0), (100, 390.0), (200, 500.0)]) == 200


def test_every_scenario_can_be_chosen() -> None:
    assert tuple(SCENARIOS) == bench._SCENARIOS


@on_sqlite
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up_first(
    direct: DirectStore, beside: dict[str, list[str]], number: signal.Signals
) -> None:
    arguments = ("bench", "--scenario", "latency", "--seconds", "30")
    with started(*arguments, start_new_session=True) as process:
        busy_worker(direct)
        os.killpg(process.pid, number)  # as a terminal does
        _, said = process.communicate(timeout=SECONDS)

    assert process.returncode == 130
    assert said.splitlines()[-2:] == ["erasing what is left of it", "celers: interrupted"]
    assert contents(direct) == beside


@on_sqlite
def test_a_worker_that_is_killed_ends_it_with_the_reason(
    direct: DirectStore, beside: dict[str, list[str]]
) -> None:
    with started("bench", "--scenario", "latency", "--seconds", "30") as process:
        os.kill(busy_worker(direct).pid, signal.SIGKILL)
        _, said = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert said.splitlines()[-1] == (
        "celers: error: a worker process of the benchmark ended with exit code -9: it said nothing"
    )
    assert contents(direct) == beside


@on_sqlite
def test_killed_itself_it_leaves_no_worker_and_a_queue_that_says_whose_it_is(
    direct: DirectStore, beside: dict[str, list[str]]
) -> None:
    with started("bench", "--scenario", "latency", "--seconds", "30") as process:
        [queue] = busy_worker(direct).queues
        process.kill()
    eventually_sync(lambda: contents(direct)["celers_workers"] == beside["celers_workers"])
    assert direct.run(footprint.marked, "celers-bench-") == [queue]

    # Another run cannot know that this one is over: it has begun a moment ago.
    assert run("bench", "--scenario", "round-trip").returncode == 0
    assert direct.run(footprint.marked, "celers-bench-") == [queue]


def test_what_an_earlier_run_left_is_erased_by_the_next(
    direct: DirectStore, beside: dict[str, list[str]]
) -> None:
    two_hours = 2 * 3_600_000 << 80
    first = UUID(int=new_id().int - two_hours)
    queue = f"celers-bench-{first.hex}"
    ids = [UUID(int=first.int + (index << 80)) for index in range(1, 4)]
    direct.run(footprint.mark, queue)
    direct.enqueue([NewTask(id=one, name="send", payload=b"{}", queue=queue) for one in ids])
    direct.run(lambda transaction: transaction.archive_cancelled(ids[:1], "left"))
    card = maintenance.WorkerCard(
        id="worker-2",
        name="celers bench",
        host="host-1",
        pid=1,
        version="1.0",
        queues=[queue],
        handlers=[],
        concurrency=1,
    )
    direct.run(maintenance.register, card, timedelta(minutes=5))

    assert run("bench", "--scenario", "round-trip").returncode == 0
    assert contents(direct) == beside


@on_sqlite
def test_a_worker_that_serves_every_queue_is_not_disturbed_without_being_asked(
    direct: DirectStore,
) -> None:
    rows.worker(direct)
    before = contents(direct)

    answer = celers("bench")
    assert answer.code == 1
    [problem] = errors(answer)
    assert problem.startswith("mail-1 (process 4711 on host-1) serves every queue: ")
    assert problem.endswith("with --force.")

    forced = run("bench", "--scenario", "round-trip", "--force")
    assert forced.returncode == 0
    assert "celers: warning: mail-1 (process 4711 on host-1) serves every queue" in forced.stderr
    assert contents(direct) == before


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_without_tables_it_names_the_command_that_makes_them(database_url: str) -> None:
    answer = celers("bench", "--url", database_url)
    assert (answer.code, errors(answer)) == (
        2,
        ["the database has no Celers tables. Run: celers migrate"],
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("bench", "--seconds", "0"), "--seconds is 0s: it must lie between 0.1 and 60."),
        (("bench", "--seconds", "2m"), "--seconds is 2m: it must lie between 0.1 and 60."),
        (("bench", "--seconds", "nan"), "--seconds is 'nan': write a number with a unit"),
        (("bench", "--tasks", "1"), "Invalid value for '--tasks': 1 is not in the range"),
        (("bench", "--scenario", "drian"), "Invalid value for '--scenario': 'drian' is not one of"),
        (
            ("--database", "sqlite:///a.db", "bench", "--url", "sqlite:///b.db"),
            "--database and --url name two databases: give one of them.",
        ),
        (("bench", "--url", "oracle://host/a"), "--database: "),
    ],
)
def test_wrong_usage_is_told_before_anything_is_opened(
    arguments: tuple[str, ...], problem: str
) -> None:
    answer = celers(*arguments)
    assert answer.code == 2
    assert errors(answer)[0].startswith(problem)
