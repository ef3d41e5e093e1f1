"""Bad input: one line a problem, the exit code, nothing written, no secret, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from celers_worker.store import server
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import HEAD
from tests import databases
from tests.cli import rows
from tests.cli.shell import SECONDS, celers, done, environment, errors
from tests.waiting import eventually_sync

NAMES_OF_QUEUES = (
    "cannot name a queue: use 1 to 128 ASCII letters, digits, '_', '-' and '.', "
    "starting with a letter, a digit or '_'."
)
PERMITS = "write a whole number from 1 to 100000."
UNKNOWN = "01a201bf-5c3a-7000-9687-80d8de4fd691"


@pytest.mark.parametrize(
    "name", ["", "a" * 129, "a b", "*", "';DROP TABLE x", "📮", "..", "a ", "a\n", "a:b", "-a"]
)
def test_hostile_names_of_queues_are_refused_everywhere(workplace: Path, name: str) -> None:
    problem = f"{name!r} {NAMES_OF_QUEUES}"
    for command in (["pause"], ["resume"], ["stats"], ["purge", "--yes"]):
        answer = celers("queue", *command, "--", name)
        assert (answer.code, errors(answer)) == (2, [problem])
    for command in (
        ["enqueue", "send"],
        ["task", "list"],
        ["task", "cancel", "--yes"],
        ["dlq", "requeue"],
    ):
        answer = celers(*command, f"--queue={name}")
        assert (answer.code, errors(answer)) == (2, [f"--queue: {problem}"])
    # Of the worker's queues, whose list has blanks and whose names have limits:
    if name == name.strip() and ":" not in name:
        answer = celers("worker", f"--queue={name}", "-A", "wrong")
        assert (answer.code, errors(answer)) == (2, [f"--queue: worker.queues: {problem}"])
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("text", ["abc", "-1", str(2**70), "", "01a201bf"])
@pytest.mark.parametrize(
    "command",
    [
        "task show",
        "task result",
        "task cancel",
        "task retry",
        "task wait",
        "dlq show",
        "dlq requeue",
    ],
)
def test_what_is_no_id_is_refused_before_the_database_is_asked(
    workplace: Path, command: str, text: str
) -> None:
    answer = celers(*command.split(), "--", text)
    assert answer.code == 2
    assert errors(answer) == [f"{text!r} is no task id: copy a whole one from `celers task list`."]
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    ["task show", "task cancel", "task retry", "dlq show", "dlq requeue", "dlq purge --yes"],
)
def test_an_unknown_id_is_a_failure(direct: DirectStore, command: str) -> None:
    answer = celers(*command.split(), UNKNOWN)
    assert (answer.code, answer.out) == (1, "")
    assert errors(answer) == [
        f"there is no task {UNKNOWN}, or its retention is over. See: celers task list"
    ]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (
            b"[worker]\nconcurency = 3\n[worke]\n",
            [
                "c.toml:2: unknown key 'concurency' in [worker]. Did you mean 'concurrency'?",
                "c.toml:3: unknown table [worke]. Did you mean 'worker'?",
            ],
        ),
        (
            b'[worker]\nconcurrency = "ten"\n',
            [f"c.toml:2: worker.concurrency is 'ten': {PERMITS}"],
        ),
        (
            b"[worker]\ngrace = 1\ngrace = 2\n",
            [
                "c.toml:3: not valid TOML: Cannot overwrite a value "
                "(it is already set above: remove one)."
            ],
        ),
        (
            b"\xef\xbb\xbf[worker]\r\n# caf\xe9\r\n",
            ["c.toml:2: not UTF-8: save the file as UTF-8."],
        ),
        (
            b"[worker]\nlease = 4\nreap_interval = 1\n",
            [
                "c.toml:2: worker.lease is 4s and worker.heartbeat_interval 5s: the lease must be "
                "at least twice the heartbeat_interval, or one late heartbeat loses running tasks."
            ],
        ),
    ],
)
def test_a_wrong_configuration_file_is_told_with_its_lines(
    workplace: Path, content: bytes, problems: list[str]
) -> None:
    (workplace / "c.toml").write_bytes(content)

    for command in ("worker", "check", "task list", "enqueue send"):
        answer = celers("--config", "c.toml", *command.split())
        assert (answer.code, errors(answer)) == (2, problems)


def test_a_fifo_for_a_configuration_is_not_waited_for(workplace: Path) -> None:
    os.mkfifo(workplace / "fifo")

    answer = celers("--config", "fifo", "check")
    assert (answer.code, errors(answer)) == (2, ["fifo is no regular file: name a file."])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "postgresql://u:s3cr3t@127.0.0.1:1/x",
            "postgresql://u:***@127.0.0.1:1/x does not answer: connection failed: connection to "
            'server at "127.0.0.1", port 1 failed: Connection refused.',
        ),
        (
            "mysql://u:s3cr3t@127.0.0.1:1/x",
            "mysql://u:***@127.0.0.1:1/x does not answer: Can't connect to MySQL server on "
            "'127.0.0.1' ([Errno 111] Connection refused).",
        ),
    ],
)
@pytest.mark.parametrize("command", ["task list", "dlq requeue --all", "migrate", "enqueue send"])
def test_a_database_that_is_away_is_a_failure(command: str, url: str, reason: str) -> None:
    answer = celers("--database", url, *command.split())
    assert answer.code == 1
    assert errors(answer) == [f"{reason} Is database.url right? See: celers check"]


def test_a_driver_that_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)  # as if it were not installed

    answer = celers("--database", "mysql://u@h/x", "task", "list")
    assert (answer.code, errors(answer)) == (
        2,
        [
            "mysql needs the package pymysql, which is not installed. "
            "Run: pip install 'celers-worker[mysql]'"
        ],
    )


# An embedded SQLite file is migrated when it is opened.
@pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
def test_missing_tables_name_the_command(database_url: str) -> None:
    for command in ("task list", "enqueue send", "queue stats", "workers list"):
        answer = celers("--database", database_url, *command.split())
        assert (answer.code, errors(answer)) == (
            2,
            ["the database has no Celers tables. Run: celers migrate"],
        )


def test_tables_of_a_newer_version_are_left_alone(direct: DirectStore) -> None:
    rows.stamp(direct, "9999")
    try:
        for command in ("task list", "migrate", "enqueue send"):
            answer = celers(*command.split())
            assert answer.code == 2
            [error] = errors(answer)
            assert error.startswith(
                f"the tables are at revision 9999, newer than the {HEAD} of this"
            )
            assert error.endswith("Run: pip install --upgrade celers-worker")
    finally:
        rows.stamp(direct, HEAD)


def test_a_server_that_is_too_old_is_refused_with_both_versions(
    direct: DirectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for product in server.OLDEST:
        monkeypatch.setitem(server.OLDEST, product, (99, 1))

    for command in ("task list", "migrate"):
        answer = celers(*command.split())
        assert answer.code == 2
        [error] = errors(answer)
        assert " is too old: Celers needs " in error
        assert error.endswith(" 99.1 or newer.")


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_missing_rights_are_named(direct: DirectStore, migrated_url: str) -> None:
    databases.execute(migrated_url, "REVOKE INSERT ON celers_tasks FROM CURRENT_USER")
    try:
        assert done("task", "list").out == ""
        answer = celers("enqueue", "send")
    finally:
        databases.execute(migrated_url, "GRANT INSERT ON celers_tasks TO CURRENT_USER")
    assert answer.code == 2
    [error] = errors(answer)
    assert "refused: permission denied for table celers_tasks" in error


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_port_that_is_taken_leaves_no_worker_behind(
    direct: DirectStore, tasks_file: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        answer = celers("worker", "--drain", "--metrics-port", port)

    assert (answer.code, errors(answer)) == (
        2,
        [
            f"metrics cannot be served on 127.0.0.1:{port}: Address already in use. "
            "Choose another port: --metrics-port or [metrics] port."
        ],
    )
    assert done("workers", "list", "--format", "json").json == []


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("place", ["in a pause", "while a connection is given back"])
def test_ctrl_c_while_waiting_is_130_and_no_traceback(
    direct: DirectStore, tmp_path: Path, place: str
) -> None:
    [task_id] = rows.waiting(direct)
    ready = tmp_path / "ready"
    script = (
        "import pathlib, signal, sys\n"
        "from celers_worker.store import results\n"
        "from sqlalchemy.engine.default import DefaultDialect\n"
        "def given_back(dialect, connection):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "def told(transaction, ids, read=results.endings_of):\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        f"    if {place != 'in a pause'}:\n"
        "        DefaultDialect.do_rollback = given_back\n"
        "    return read(transaction, ids)\n"
        "results.endings_of = told\n"
        "from celers_worker.cli import main\n"
        f"main(['task', 'wait', '{task_id}'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=environment(), stderr=subprocess.PIPE, text=True
    )
    eventually_sync(ready.exists, within=SECONDS)
    if place == "in a pause":
        process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, told) == (130, "celers: interrupted\n")
