from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from celers_worker.core.payload import decode
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors, run


def test_a_task_is_added_with_its_arguments_and_its_id_is_printed(direct: DirectStore) -> None:
    answer = done("enqueue", "send_welcome", "to=ada@example.org", "subject=hi there")

    [row] = rows.live(direct)
    assert answer.out == f"{row.id}\n"
    assert (row.task_name, row.queue_name, row.state) == ("send_welcome", "default", "pending")
    assert decode(row.payload) == {"to": "ada@example.org", "subject": "hi there"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=1", 1),
        ("n=-1.5", -1.5),
        ("n=1180591620717411303424", 2**70),
        ("n=true", True),
        ("n=null", None),
        ('n={"a": [1, "b"]}', {"a": [1, "b"]}),
        ('n="1"', "1"),
        ("n=ada@example.org", "ada@example.org"),
        ("n=", ""),
        ("n=a=b", "a=b"),
        ("n=NaN", "NaN"),
        ("n={", "{"),
        ("n=héé 📮", "héé 📮"),
    ],
)
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_value_is_json_if_it_can_be_and_text_otherwise(
    direct: DirectStore, text: str, value: object
) -> None:
    done("enqueue", "send", text)

    assert decode(rows.live(direct)[0].payload) == {"n": value}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_arguments_come_from_a_json_object_too_and_single_ones_go_before_it(
    direct: DirectStore,
) -> None:
    done("enqueue", "send", "--json", '{"a": 1, "b": 2}', "b=3")
    done("enqueue", "send", "--stdin", stdin='{"a": "\\u00e9"}')

    payloads = [decode(row.payload) for row in rows.live(direct)]
    assert payloads == [{"a": 1, "b": 3}, {"a": "é"}]


def test_every_option_reaches_the_row(direct: DirectStore) -> None:
    done(
        *("enqueue", "send", "--queue", "reports", "--priority", "-3", "--max-retries", "9"),
        *("--timeout", "90s", "--expires", "1h", "--unique-key", "k", "--fingerprint", "f"),
        *("--at", "2031-05-06T08:00:00+02:00"),
    )

    [row] = rows.live(direct)
    assert (row.queue_name, row.priority, row.max_retries) == ("reports", -3, 9)
    assert (row.timeout, row.unique_key, row.fingerprint) == (90.0, "k", "f")
    assert row.scheduled_at == datetime(2031, 5, 6, 6, tzinfo=UTC)
    assert timedelta(minutes=59) < row.expires_at - row.created_at <= timedelta(hours=1)


def test_a_delayed_task_is_due_later(direct: DirectStore) -> None:
    done("enqueue", "send", "--delay", "10m")

    [row] = rows.live(direct)
    assert abs(row.scheduled_at - row.created_at - timedelta(minutes=10)) < timedelta(seconds=1)


def test_a_taken_unique_key_names_the_task_that_has_it(direct: DirectStore) -> None:
    first = done("enqueue", "send", "--unique-key", "welcome:1")
    second = done("enqueue", "send", "--unique-key", "welcome:1")

    assert second.out == first.out
    assert "has the unique key 'welcome:1': nothing was added" in second.err
    assert len(rows.live(direct)) == 1


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
class TestWithAnApplication:
    @pytest.fixture(autouse=True)
    def application(self, tasks_file: Path) -> Path:
        return tasks_file

    def test_the_handler_says_queue_priority_and_retries(self, direct: DirectStore) -> None:
        done("enqueue", "send_welcome", "to=ada")

        [row] = rows.live(direct)
        assert (row.queue_name, row.priority, row.max_retries) == ("emails", 7, 5)

    def test_options_go_before_what_the_handler_says(self, direct: DirectStore) -> None:
        done("enqueue", "send_welcome", "to=ada", "--queue", "other", "--priority", "1")

        [row] = rows.live(direct)
        assert (row.queue_name, row.priority, row.max_retries) == ("other", 1, 5)

    def test_the_configuration_goes_before_what_the_handler_says(
        self, direct: DirectStore, workplace: Path
    ) -> None:
        (workplace / "celers.toml").write_text("[handlers.send_welcome]\nmax_retries = 0\n")
        done("enqueue", "send_welcome", "to=ada")

        assert rows.live(direct)[0].max_retries == 0

    def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(
        self, direct: DirectStore
    ) -> None:
        answer = celers("enqueue", "send_welcome", "too=ada")

        assert answer.code == 2
        assert "missing a required argument: 'to'" in answer.err
        assert rows.live(direct) == []

    def test_an_unknown_name_gets_the_nearest_right_one(self, direct: DirectStore) -> None:
        answer = celers("enqueue", "send_welcom", "to=ada")

        assert answer.code == 2
        assert errors(answer) == [
            "the application has no handler 'send_welcom'. Did you mean 'send_welcome'? "
            "Enqueue it for another one with --force."
        ]
        assert rows.live(direct) == []

    def test_force_enqueues_for_another_application(self, direct: DirectStore) -> None:
        done("enqueue", "send_welcom", "to=ada", "--force")

        assert rows.live(direct)[0].task_name == "send_welcom"

    def test_an_argument_may_be_called_like_an_option(
        self, direct: DirectStore, tasks_file: Path
    ) -> None:
        with tasks_file.open("a") as file:
            file.write("\n\n@app.task()\nasync def odd(options, self, name, queue): ...\n")
        done("enqueue", "odd", "options=1", "self=2", "name=3", "queue=4")

        payload = decode(rows.live(direct)[0].payload)
        assert payload == {"options": 1, "self": 2, "name": 3, "queue": 4}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_tasks_file_of_another_tool_does_not_stand_in_the_way(
    direct: DirectStore, workplace: Path
) -> None:
    (workplace / "tasks.py").write_text("raise RuntimeError('of another tool')\n")
    answer = done("enqueue", "send", "to=ada")

    assert "celers: warning: the module 'tasks' cannot be imported" in answer.err
    assert UUID(answer.out.strip()) == rows.live(direct)[0].id


def test_without_an_application_the_workers_know_the_names(direct: DirectStore) -> None:
    rows.worker(direct, "send_welcome", "send_invoice")

    assert done("enqueue", "send_invoice").err == ""
    assert done("enqueue", "send_invoic").err == (
        "celers: warning: no worker has a handler 'send_invoic'. Did you mean 'send_invoice'?\n"
    )
    assert len(rows.live(direct)) == 2


def test_the_database_that_the_application_names_goes_before_all_but_the_flag(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERS_DATABASE_URL", "sqlite:///of_the_variable.db")
    own = f"sqlite:///{tmp_path}/own.db"
    (workplace / "own.py").write_text(
        f"from celers_worker import Celers\n\napp = Celers({own!r})\n\n\n"
        "@app.task()\ndef send(): ...\n"
    )
    for command in (["enqueue", "-A", "own", "send"], ["worker", "-A", "own", "--drain"]):
        assert run(*command).returncode == 0
    assert done("--database", own, "task", "count", "--state", "completed").out == "1\n"
    checked = run("check", "-A", "own").stdout.splitlines()
    [url] = [line for line in checked if line.startswith("database.url")]
    assert own in url
    assert "the application" in url
    assert list(workplace.glob("*.db")) == []

    assert run("--database", "sqlite:///flag.db", "enqueue", "-A", "own", "send").returncode == 0
    assert done("--database", own, "task", "count").out == "1\n"
