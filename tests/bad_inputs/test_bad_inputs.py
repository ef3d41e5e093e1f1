"""Thirty bad inputs and what must happen: one line, an exit code, and nothing else.

Each case runs against a database that a worker serves. Before and after it a canary completes, and
no row of ours differs. Where a row has its own tests elsewhere, it has one case here; they are:

| row | what is wrong | the other tests |
| --- | --- | --- |
| 1-3 | the URL | cli/test_wrong_usage, test_config_url |
| 4 | the database is away | cli/test_worker, cli/test_errors, e2e/test_outage |
| 5, 6 | tables, servers: too old, too new | cli/test_errors, store/test_migrations, test_server |
| 7 | a right is missing | roles/test_roles |
| 8 | the configuration file | test_config_files, test_config_problems |
| 9 | numbers and their invariants | cli/test_wrong_usage, test_config_problems |
| 10 | the application | cli/test_wrong_usage, app/test_discovery |
| 11 | where metrics are served | cli/test_errors |
| 12 | the dashboard without a login | there is no dashboard |
| 13 | names of queues | cli/test_errors, core/test_names, app/test_bad_input |
| 14-16 | arguments | app/test_bad_input, core/test_payload, cli/test_enqueue_lines |
| 17-19 | options | app/test_bad_input, cli/test_wrong_usage, store/test_unique |
| 20, 21 | schedules | core/test_cron, cli/test_schedule, app/test_schedules |
| 22 | rows of others | app/test_celers_rows, store/test_adoption; here |
| 23-25 | hostile handlers | services/test_runner, services/test_watchdog |
| 26 | ids | cli/test_errors, cli/test_task |
| 27 | many, none, Ctrl-C | cli/test_dlq, cli/test_terminal |
| 28 | migrations | store/test_migrations; here |
| 29 | HTTP | observe |
| 30 | signals and the world | cli/test_program, cli/test_worker; here |
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from celers_worker.core.task import TaskState
from celers_worker.store.transaction import Transaction
from tests import databases
from tests.bad_inputs.conftest import World
from tests.cli.shell import PROGRAM, Answer, celers, environment, errors, run
from tests.waiting import eventually_sync

SECRET = "s3cr3t"
UNKNOWN = "01a201bf-5c3a-7000-9687-80d8de4fd691"
QUEUE = (
    "cannot name a queue: use 1 to 128 ASCII letters, digits, '_', '-' and '.', "
    "starting with a letter, a digit or '_'."
)
#: By row: what is called, the exit code, and the lines. "…" is what differs from time to time.
CASES: dict[str, tuple[list[str], int, list[str]]] = {
    "01 an empty URL": (
        ["--database", "", "task", "list"],
        2,
        [
            '--database: database.url is empty: write a URL such as "sqlite:///celers.db" or '
            "leave it out."
        ],
    ),
    "02 an unknown scheme": (
        ["--database", f"postgresq://u:{SECRET}@h/x", "task", "list"],
        2,
        ["--database: database.url has the unknown scheme 'postgresq'. Did you mean 'postgresql'?"],
    ),
    "03 a raw character in the password": (
        ["--database", f"mysql://u:{SECRET}@#@h/x", "task", "list"],
        2,
        [
            "--database: database.url has a special character as it is in its user name, password "
            "or options: percent-encode it (@ is %40, / is %2F, ? is %3F, # is %23, % is %25)."
        ],
    ),
    "04 a database that is away": (
        ["--database", f"postgresql://u:{SECRET}@127.0.0.1:1/x", "stats"],
        1,
        ["postgresql://u:***@127.0.0.1:1/x does not answer: … Is database.url right? …"],
    ),
    "06 a file that is no database": (
        ["--database", "sqlite:////etc/passwd", "task", "list"],
        2,
        [
            "sqlite:////etc/passwd refused: file is not a database. "
            "Mend database.url, or the rights of its user."
        ],
    ),
    "08 a file that is missing": (
        ["--config", "no.toml", "worker"],
        2,
        ["no.toml does not exist."],
    ),
    "09 no concurrency": (
        ["worker", "-c", "0"],
        2,
        ["--concurrency: worker.concurrency is 0: write a whole number from 1 to 100000."],
    ),
    "10 a module that is missing": (
        ["worker", "-A", "nosuch:app"],
        2,
        ["there is no module 'nosuch' in … or among the installed packages."],
    ),
    "11 a port out of range": (
        ["worker", "--metrics-port", "99999"],
        2,
        ["--metrics-port: metrics.port is 99999: write a whole number from 0 to 65535."],
    ),
    "13 a queue of SQL": (
        ["queue", "purge", "--yes", "--", "';DROP TABLE celers_tasks"],
        2,
        [f'"\';DROP TABLE celers_tasks" {QUEUE}'],
    ),
    "14 arguments that are no JSON": (
        ["enqueue", "--force", "send", "--json", '{"to": NaN}'],
        2,
        ["--json: the payload is not JSON: JSON is malformed: invalid character (byte 7)"],
    ),
    "15 a text with NUL": (
        ["enqueue", "--force", "send", "--json", '{"to": "a\\u0000b"}'],
        2,
        ["args.to contains NUL at position 1, which no database can hold."],
    ),
    "16 arguments of more than a mebibyte": (
        ["enqueue", "--force", "send", f"to={'x' * (1024 * 1024)}"],
        2,
        [
            "args takes 1,048,585 bytes as JSON, more than the limit of 1,048,576. Store the data "
            "elsewhere and pass a reference to it, or raise limits.arguments."
        ],
    ),
    "17 tomorrow": (
        ["enqueue", "--force", "send", "--at", "tomorrow"],
        2,
        ["--at is 'tomorrow': write an instant such as 2030-01-31T08:00:00Z."],
    ),
    "18 a priority beyond 32 bits": (
        ["enqueue", "--force", "send", "--priority", str(2**40)],
        2,
        ["priority is 1099511627776: it must be a whole number of 32 bits; higher runs first."],
    ),
    "19 a unique key of 300 bytes": (
        ["enqueue", "--force", "send", "--unique-key", "é" * 150],
        2,
        ["unique_key takes 300 bytes as UTF-8; at most 255 can be stored."],
    ),
    "20 minute 61": (
        ["schedule", "add", "nightly", "send", "--force", "--cron", "61 * * * *"],
        2,
        [
            "cron is '61 * * * *': its minute is '61'. Allowed are 0-59; * for all, lists (1,15), "
            "rising ranges (1-5) and steps (*/5)."
        ],
    ),
    "21 a schedule without a time": (
        ["schedule", "add", "nightly", "send", "--force"],
        2,
        ['nothing says when the schedule fires: give cron="0 2 * * *" or every="15m".'],
    ),
    "26 an id that is none": (
        ["task", "cancel", "--", str(2**70)],
        2,
        [f"'{2**70}' is no task id: copy a whole one from `celers task list`."],
    ),
    "26 an unknown id": (
        ["task", "retry", UNKNOWN],
        1,
        [f"there is no task {UNKNOWN}, or its retention is over. See: celers task list"],
    ),
    "27 a filter that means nothing": (
        ["dlq", "requeue", "--queue", "nobody"],
        0,
        [],
    ),
    "28 an unknown migration": (
        ["migrate", "sql", "--since", "9"],
        2,
        ["there is no migration '9'; there are …"],
    ),
}


def fits(line: str, pattern: str) -> bool:
    """Whether *line* is *pattern*, whose … stand for anything."""
    place = 0
    parts = pattern.split("…")
    for index, part in enumerate(parts):
        found = line.find(part, place)
        if found < 0 or (index == 0 and found != 0):
            return False
        place = found + len(part)
    return parts[-1] == "" or line.endswith(parts[-1])


@pytest.fixture(autouse=True)
def elsewhere(own_modules: Path) -> Path:
    """A current directory without an application or a configuration."""
    return own_modules


@pytest.mark.parametrize("case", CASES)
def test_bad_input(unharmed: World, case: str) -> None:
    arguments, code, lines = CASES[case]
    if arguments[:1] == ["worker"] or arguments[2:3] == ["worker"]:
        (Path.cwd() / "tasks.py").write_text("from celers_worker import Celers\napp = Celers()\n")
    answer = celers(*arguments)
    found = errors(answer) if code else []
    assert answer.code == code, answer.err
    assert len(found) == len(lines), answer.err
    for line, pattern in zip(found, lines, strict=True):
        assert fits(line, pattern), line
    assert_clean(answer)


def assert_clean(answer: Answer | subprocess.CompletedProcess[str]) -> None:
    told = (
        answer.out + answer.err
        if isinstance(answer, Answer)
        else (answer.stdout or "") + (answer.stderr or "")
    )
    assert "Traceback" not in told
    assert SECRET not in told


# --- 1: said in the environment ---


def test_an_empty_variable_says_how_to_name_a_database(unharmed, monkeypatch):
    monkeypatch.setenv("CELERS_DATABASE_URL", " ")
    answer = celers("task", "list")
    assert answer.code == 2
    [line] = errors(answer)
    assert line.startswith("CELERS_DATABASE_URL: database.url is empty: write a URL such as")


# --- 8: what a file may be, whatever reads it ---


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "huge", "latin", "bom"])
def test_a_file_that_is_no_configuration_ends_it_at_once(unharmed, elsewhere, kind):
    file = elsewhere / "celers.toml"
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "directory":
            file.mkdir()
        case "device":
            file.symlink_to("/dev/zero")
        case "huge":
            with file.open("wb") as large:
                large.truncate(50_000_000)
        case "latin":
            file.write_bytes(b"[worker]\nname = 'caf\xe9'\n")
        case "bom":
            file.write_bytes(b"\xef\xbb\xbf[worker]\r\nconcurency = 3\r\n")
    answer = celers("worker")
    assert answer.code == 2
    [line] = errors(answer)
    assert line.startswith("celers.toml")
    assert len(line) < 250
    assert_clean(answer)


# --- 11: where nobody can listen ---


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.1", "not a host", "999.1.1.1"])
def test_metrics_on_a_host_that_is_not_ours_leave_no_worker_behind(unharmed, elsewhere, host):
    (elsewhere / "tasks.py").write_text("from celers_worker import Celers\napp = Celers()\n")
    answer = run(
        "worker",
        *("--metrics-port", "0", "--drain"),
        env=environment(CELERS_METRICS_HOST=host, CELERS_DATABASE_URL=unharmed.url),
    )
    assert answer.returncode == 2, answer.stderr
    [line] = errors(answer)
    assert line.startswith("metrics cannot be served on ")
    assert_clean(answer)


# --- 22: rows that others wrote ---


def insert(world: World, **changes: Any) -> UUID:
    """A row by SQL, past everything of ours."""
    task_id = uuid4()
    direct = world.project.direct
    values: dict[str, Any] = {
        "id": str(task_id),
        "task_name": "work",
        "payload": b'{"seconds": 0.0}',
        "state": "pending",
        "priority": 0,
        "max_retries": 3,
        "created_at": "2026-01-01 00:00:00",
        "scheduled_at": "2026-01-01 00:00:00",
        "queue_name": "default",
    } | changes

    def add(transaction: Transaction) -> None:
        columns = ", ".join(values)
        binds = ", ".join(_bind(name, transaction) for name in values)
        statement = f"INSERT INTO celers_tasks ({columns}) VALUES ({binds})"
        transaction.connection.execute(text(statement), values)

    direct.run(add)
    return task_id


def _bind(name: str, transaction: Transaction) -> str:
    kinds = {"id": "uuid", "created_at": "timestamptz", "scheduled_at": "timestamptz"}
    if transaction.connection.dialect.name == "postgresql" and name in kinds:
        return f"CAST(:{name} AS {kinds[name]})"
    return f":{name}"


@pytest.mark.parametrize(
    "bad",
    [
        {"task_name": "os.system", "payload": b'["touch pwned"]'},
        {"task_name": "builtins:eval", "payload": b'["1/0"]'},
        {"task_name": "__class__"},
        {"task_name": "../../x"},
        {"task_name": "x" * 255},
        {"payload": b"\x80\x04K\x01."},
        {"payload": b"[" * 100_000},
        {"payload": b""},
        {"payload": b'{"seconds": "soon"}'},
        {"payload": b'{"no": "such argument"}'},
        {"state": "nonsense"},
        {"retry_count": 1_000_000},
        {"max_retries": -5, "payload": b'{"no": 1}'},
        {"timeout": -1.0},
        {"priority": -(2**31)},
        {"queue_name": "';DROP TABLE celers_tasks;--"},
        {"scheduled_at": "9999-12-31 00:00:00"},
        {"unique_key": "\N{PILE OF POO}" * 60},
    ],
    ids=lambda bad: " ".join(f"{name} {str(value)[:20]}" for name, value in bad.items()),
)
def test_a_row_that_nobody_of_ours_has_written_harms_nobody(world, elsewhere, bad):
    row = insert(world, **bad)
    # One after the other: by then the row has been claimed, if it ever is.
    world.canary()
    world.canary()
    world.forget(row)
    [worker] = world.project.workers
    assert worker.process.poll() is None
    assert not (elsewhere / "pwned").exists()
    assert not [line for line in worker.log if line["event"].startswith("Traceback")]


def test_a_row_with_a_name_of_ours_and_arguments_of_nobodys_is_buried_with_the_reason(world):
    task = insert(world, payload=b'{"no": "such argument"}')
    eventually_sync(lambda: world.project.task(task).state is TaskState.FAILED, within=45)
    view = world.project.task(task)
    assert view.reason == "its arguments do not fit the handler"
    assert "work(" in (view.error or "")


# --- 26: twice is as good as once ---


def test_a_double_click_says_what_became_of_the_first(unharmed):
    task = str(insert(unharmed, queue_name="nobody", scheduled_at="2999-01-01 00:00:00"))
    first = celers("task", "cancel", task, "--yes")
    second = celers("task", "cancel", task, "--yes")
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out == f"{task} is cancelled.\n"
    assert celers("maintain", "purge", "--queue", "nobody", "--yes").code == 0


# --- 28: a server that takes no writes ---


def test_a_migration_of_a_read_only_database_is_told_in_a_line(postgres_server):
    name = f"celers_{uuid4().hex}"
    postgres_server.start()
    url = postgres_server.create_database(name)
    databases.execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        answer = celers("--database", url, "migrate")
    finally:
        postgres_server.drop_database(name)
    assert answer.code == 1
    [line] = errors(answer)
    assert "is busy: cannot execute CREATE TABLE in a read-only transaction." in line
    assert_clean(answer)


# --- 30: signals and the world ---


def listing(world: World, **options: Any) -> subprocess.CompletedProcess[str]:
    changes = options.pop("changes", {})
    env = environment(CELERS_DATABASE_URL=world.url, **changes)
    return run("task", "list", "--format", "json", env=env, **options)


def test_a_full_disk_behind_stdout_is_a_failure_with_a_reason(unharmed):
    with open("/dev/full", "w") as full:
        answer = listing(unharmed, stdout=full)
    assert answer.returncode == 1
    [line] = errors(answer)
    assert "No space left on device" in line
    assert "Traceback" not in answer.stderr


def test_a_reader_that_has_enough_is_no_failure(unharmed):
    process = subprocess.Popen(
        [*PROGRAM, "task", "list"],
        env=environment(CELERS_DATABASE_URL=unharmed.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        {"HOME": ""},
        {"TERM": "dumb", "COLUMNS": "0", "LINES": "-1"},
        {"TZ": "Mars/Phobos"},
        {"LANG": "xx_YY.UTF-9"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_an_odd_environment_changes_nothing(unharmed, changes):
    answer = listing(unharmed, changes=changes)
    assert answer.returncode == 0, answer.stderr
    assert isinstance(json.loads(answer.stdout), list | dict)
    assert_clean(answer)


def test_without_a_home_or_a_place_to_write_it_reads_all_the_same(unharmed):
    env = environment(CELERS_DATABASE_URL=unharmed.url)
    env.pop("HOME", None)
    answer = run("task", "list", "--format", "json", env=env, cwd="/proc")
    assert answer.returncode == 0, answer.stderr
    assert_clean(answer)


def test_with_closed_streams_it_still_ends_with_its_code(unharmed):
    closed = "exec <&- >&- 2>&-; "
    command = f"{closed} exec {' '.join(PROGRAM)} task list"
    env = environment(CELERS_DATABASE_URL=unharmed.url)
    finished = subprocess.run(["sh", "-c", command], env=env, timeout=30, check=False)
    assert finished.returncode == 0


def test_with_sixteen_open_files_it_works_or_says_why(unharmed):
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (16, 16))
    answer = listing(unharmed, preexec_fn=few)
    assert_clean(answer)
    assert answer.returncode == 0 or len(errors(answer)) == 1


# --- bounded: none of it takes long ---


@pytest.mark.parametrize(
    "expression",
    ["61 * * * *", "0 0 1--100000000 * *", "0 0 30 2 *", "@yearlyy", "*/0 * * * *", "1-" * 9999],
)
def test_a_schedule_that_can_never_fire_is_refused_in_no_time(expression):
    from celers_worker.core.cron import Cron
    from celers_worker.core.errors import ConfigurationError

    began = time.process_time()
    with pytest.raises(ConfigurationError):
        Cron(expression)
    assert time.process_time() - began < 0.5
