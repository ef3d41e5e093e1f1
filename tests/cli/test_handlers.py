from pathlib import Path

import pytest

from tests.cli.shell import celers, done, errors


def test_handlers_are_listed_with_what_they_are_and_where_they_stand(tasks_file: Path) -> None:
    _, fail, send = done("handlers", "list").lines
    assert fail.split()[:5] == ["fail", "default", "0", "thread", "0"]
    assert send.split()[:5] == ["send_welcome", "emails", "7", "async", "5"]
    assert send.endswith(f"{tasks_file}:6")
    assert "(to: str, subject: str = 'Welcome') -> dict" in send

    one, other = done("handlers", "list", "--format", "json").json
    assert (one["name"], one["arguments"], one["timeout_seconds"]) == ("fail", ["why"], None)
    assert (other["queue"], other["priority"], other["max_retries"]) == ("emails", 7, 5)


def test_the_configuration_s_limits_are_shown(tasks_file: Path) -> None:
    tasks_file.with_name("celers.toml").write_text(
        '[handlers.send_welcome]\nconcurrency = 3\ntimeout = "2m"\nmax_retries = 9\n'
    )
    _, document = done("handlers", "list", "--format", "json").json
    assert document["concurrency"] == 3
    assert document["timeout_seconds"] == 120
    assert document["max_retries"] == 9
    assert done("handlers", "list").lines[2].split()[:7] == [
        *("send_welcome", "emails", "7", "async", "3", "9", "2m")
    ]


def test_no_database_is_needed_to_list_handlers(
    tasks_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERS_DATABASE_URL", "postgresql://nowhere.invalid/name")
    assert len(done("handlers", "list").lines) == 3


def test_an_application_without_handlers_says_how_to_write_one(workplace: Path) -> None:
    (workplace / "empty.py").write_text("from celers_worker import Celers\n\napp = Celers()\n")
    answer = done("handlers", "list", "-A", "empty")
    assert (answer.out, "@app.task()" in answer.err) == ("", True)
    assert done("handlers", "list", "-A", "empty", "--format", "json").json == []


def test_without_an_application_it_says_where_it_looked(workplace: Path) -> None:
    answer = celers("handlers", "list")
    assert answer.code == 2
    assert "there is no tasks.py in" in errors(answer)[0]
