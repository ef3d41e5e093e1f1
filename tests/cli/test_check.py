from pathlib import Path

import pytest

from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import HEAD
from tests.cli import rows
from tests.cli.shell import celers, done, errors


def warnings(text: str) -> list[str]:
    lines = text.splitlines()
    found = [line.removeprefix("celers: warning: ") for line in lines]
    return [line for line in found if "has a rare fault" not in line]  # of Debian's SQLite


def test_every_setting_is_shown_with_its_source(
    direct: DirectStore, tasks_file: Path, workplace: Path
) -> None:
    (workplace / "celers.toml").write_text('[worker]\ngrace = "7s"\n')

    answer = done("check")
    lines = [line.split() for line in answer.lines]
    assert ["worker.grace", '"7s"', "celers.toml"] in [line[:3] for line in lines]
    assert ["worker.lease", '"30s"', "default"] in [line[:3] for line in lines]
    [url] = [line for line in lines if line[:1] == ["database.url"]]
    assert url[2] == "CELERS_DATABASE_URL"
    assert ["send_welcome", "emails", "async", "7", "5"] in [line[:5] for line in lines]
    assert f"tables at revision {HEAD}" in answer.out
    assert warnings(answer.err) == []


def test_as_json_it_is_one_document(direct: DirectStore, tasks_file: Path) -> None:
    document = done("check", "--format", "json").json

    assert (document["ok"], document["errors"], document["unhandled"]) == (True, [], {})
    assert [handler["name"] for handler in document["handlers"]] == ["fail", "send_welcome"]
    assert document["database"]["revision"] == HEAD
    assert {"key", "value", "source"} == set(document["settings"][0])


@pytest.mark.parametrize("migrated_url", ["mysql"], indirect=True)
def test_the_password_is_not_shown(migrated_url: str) -> None:
    secret = "s3cr3t"
    url = migrated_url.replace("://", "://", 1)
    user, _, rest = url.partition("://")[2].partition("@")
    hidden = f"mysql://{user.partition(':')[0]}:{secret}@{rest}"

    for style in ("table", "json"):
        answer = celers("--database", hidden, "--debug", "check", "--format", style)
        assert secret not in answer.out + answer.err
        assert "***" in answer.out


def test_all_problems_are_named_at_once(workplace: Path, tmp_path: Path) -> None:
    (workplace / "boom.py").write_text("raise RuntimeError('boom')\n")
    place = workplace / "boom.py"

    answer = celers("--database", "postgresql://u:s3cr3t@127.0.0.1:1/x", "check", "-A", "boom")
    assert answer.code == 2
    assert errors(answer) == [
        f"application: the module 'boom' cannot be imported ({place}:1): RuntimeError: boom",
        "database: postgresql://u:***@127.0.0.1:1/x does not answer: connection failed: connection "
        'to server at "127.0.0.1", port 1 failed: Connection refused',
    ]


def test_a_wrong_configuration_is_named_in_json_too(workplace: Path) -> None:
    (workplace / "celers.toml").write_text('[worker]\nconcurency = 1\nlease = "x"\n')

    answer = celers("check", "--format", "json")
    assert (answer.code, answer.json["ok"], len(answer.json["errors"])) == (2, False, 2)
    assert errors(answer) == answer.json["errors"]


def test_queues_and_names_that_do_not_fit_are_warnings(
    direct: DirectStore, tasks_file: Path, workplace: Path
) -> None:
    (workplace / "celers.toml").write_text(
        '[worker]\nqueues = ["email"]\n[handlers.send_welcom]\nmax_retries = 1\n'
    )
    rows.waiting(direct, 2, name="send_welcme")

    answer = done("check")
    assert warnings(answer.err) == [
        "[handlers.send_welcom] of the configuration is for no handler. "
        "Did you mean 'send_welcome'?",
        "the queue 'default' of the handler 'fail' is not among worker.queues (email): "
        "another worker must serve it.",
        "the queue 'emails' of the handler 'send_welcome' is not among worker.queues (email): "
        "another worker must serve it.",
        "the queue 'email' is configured, but no handler uses it. Did you mean 'emails'?",
        "2 waiting tasks have the name 'send_welcme', which no handler has. "
        "Did you mean 'send_welcome'?",
    ]


def test_it_changes_nothing(workplace: Path) -> None:
    answer = done("check")

    assert "sqlite:///celers.db is made when it is first used" in answer.out
    assert list(workplace.iterdir()) == []
    assert warnings(answer.err)[0].startswith("application: there is no tasks.py in ")


def test_a_database_without_tables_is_an_error(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERS_DATABASE_URL", database_url)
    answer = celers("check")

    if database_url.startswith("sqlite"):  # it is migrated when it is first opened
        assert answer.code == 0
    else:
        assert answer.code == 2
        assert errors(answer)[-1] == (
            "database: the database has no Celers tables. Run: celers migrate"
        )
