"""What several worker processes have to say is said once."""

import socket
from pathlib import Path

import pytest

from tests.cli.shell import environment, errors, run


@pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
def test_tables_that_are_not_there_are_reported_once(database_url: str, tasks_file: Path) -> None:
    ended = run(
        *("worker", "--processes", "3", "--log-level", "warning"),
        env=environment(CELERS_DATABASE_URL=database_url),
    )

    assert ended.returncode == 2
    [error] = errors(ended)
    assert error.startswith("the database has no Celers tables. Run: celers migrate")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-c", "0"], "--concurrency: worker.concurrency is 0: write a whole number from 1 to "),
        (["-A", "nosuch"], "there is no module 'nosuch' in "),
        (["--drain", "--once"], "--drain and --once end a worker at different times: "),
    ],
)
def test_a_mistake_is_reported_once(arguments: list[str], problem: str) -> None:
    ended = run("worker", "-p", "3", "--log-level", "warning", *arguments)

    assert ended.returncode == 2
    [error] = errors(ended)
    assert error.startswith(problem)


def test_a_port_that_is_taken_is_reported_before_a_process_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("worker", "-p", "2", "-A", "nosuch", "--metrics-port", port)

    assert ended.returncode == 2
    [error] = errors(ended)
    assert error.startswith(f"metrics cannot be served on 127.0.0.1:{port}: ")


def test_fail_fast_holds_for_several_processes_too(tasks_file: Path) -> None:
    ended = run(
        *("--database", "postgresql://u@127.0.0.1:1/x", "worker", "--processes", "2"),
        *("--fail-fast", "--log-level", "warning"),
    )

    assert ended.returncode == 1
    [error] = errors(ended)
    assert error.startswith("postgresql://u@127.0.0.1:1/x does not answer")
