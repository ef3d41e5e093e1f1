from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from celers_worker.config import Config, load_config

ROOT = Path(__file__).parents[1]
URL = "postgresql://user:hunter2@host/name"


def write(directory: Path, text: str, name: str = "celers.toml") -> Path:
    path = directory / name
    path.write_text(dedent(text))
    return path


def load(directory, *, file=None, environment=None, **flags):
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    return load_config(file=file, environment=environment or {}, flags=dotted, directory=directory)


def test_without_any_source_everything_has_its_default(tmp_path):
    loaded = load(tmp_path)
    assert loaded.config == Config()
    assert set(loaded.sources.values()) == {"default"}


def test_the_defaults_are_those_the_documentation_promises():
    config = Config()
    assert config.database.url == "sqlite:///celers.db"
    assert config.worker.concurrency == 100
    assert config.worker.lease == timedelta(seconds=30)
    assert config.worker.reap_interval == timedelta(seconds=5)
    assert config.worker.settle_interval == timedelta(milliseconds=2)
    assert config.worker.timeout is None
    assert config.worker.name
    assert config.retention.dead == timedelta(days=30)
    assert config.metrics.port is None
    assert (config.log.level, config.log.format) == ("info", "auto")


def test_every_later_source_goes_before_the_earlier_ones(tmp_path):
    write(tmp_path, "[worker]\nconcurrency = 2\nthreads = 2\nsettle_batch = 2")
    environment = {"CELERS_WORKER_CONCURRENCY": "3", "CELERS_WORKER_THREADS": "3"}
    loaded = load(tmp_path, environment=environment, worker__concurrency=4)
    worker = loaded.config.worker
    assert (worker.concurrency, worker.threads, worker.settle_batch) == (4, 3, 2)
    assert worker.max_crashes == 3
    assert loaded.sources["worker.concurrency"] == "--concurrency"
    assert loaded.sources["worker.threads"] == "CELERS_WORKER_THREADS"
    assert loaded.sources["worker.settle_batch"] == "celers.toml"
    assert loaded.sources["worker.max_crashes"] == "default"


@pytest.mark.parametrize("absent", [None, ()])
def test_a_flag_that_was_not_given_hides_nothing(tmp_path, absent):
    write(tmp_path, '[worker]\nqueues = ["emails"]')
    assert load(tmp_path, worker__queues=absent).config.worker.queues == ("emails",)


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        ({"worker.concurrency": "5"}, "--concurrency"),
        ({"worker.poll_interval": 0.5}, "--poll-interval"),
        ({"worker.queues": ("emails", "reports:4")}, "--queue"),
        ({"worker.modules": ["shop.tasks"]}, "--module"),
        ({"database.url": "sqlite:///x.db"}, "--database"),
        ({"log.level": "DEBUG"}, "--log-level"),
        ({"handlers.shop.pay.timeout": "5m"}, "--handlers-shop-pay-timeout"),
    ],
)
def test_a_flag_is_the_source_of_what_it_sets(tmp_path, flags, flag):
    loaded = load_config(environment={}, flags=flags, directory=tmp_path)
    assert loaded.sources[next(iter(flags))] == flag


def test_a_queue_flag_may_be_repeated_or_hold_a_list(tmp_path):
    loaded = load(tmp_path, worker__queues=("emails,slow:1", "reports:4"))
    assert loaded.config.worker.queues == ("emails", "slow:1", "reports:4")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("CELERS_WORKER_CONCURRENCY", " 20 ", ("worker", "concurrency", 20)),
        (
            "CELERS_WORKER_QUEUES",
            "emails, reports:4",
            ("worker", "queues", ("emails", "reports:4")),
        ),
        ("CELERS_WORKER_LEASE", "1m", ("worker", "lease", timedelta(minutes=1))),
        ("CELERS_WORKER_GRACE", "0", ("worker", "grace", timedelta(0))),
        ("CELERS_APP", "shop.tasks:app", ("worker", "app", "shop.tasks:app")),
        ("CELERS_WORKER_APP", "", ("worker", "app", "")),
        ("CELERS_METRICS_PORT", "0", ("metrics", "port", 0)),
        ("CELERS_DATABASE_URL", URL, ("database", "url", URL)),
        ("CELERS_LOG_LEVEL", "INFO", ("log", "level", "info")),
        ("CELERS_RETENTION_DEAD", "90d", ("retention", "dead", timedelta(days=90))),
    ],
)
def test_a_variable_sets_a_value(tmp_path, variable, text, value):
    loaded = load(tmp_path, environment={variable: text})
    table, key, expected = value
    assert getattr(getattr(loaded.config, table), key) == expected
    assert loaded.sources[f"{table}.{key}"] == variable


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CELERS_TEST_POSTGRES_URL", "x"),
        ("CELERS_SOMETHING", "x"),
        ("CELERSWORKER_THREADS", "x"),
        ("celers_worker_threads", "x"),
        ("CELERS_WORKER_SERVICE_HOST", "10.0.0.1"),
        ("CELERS_WORKER_SERVICE_PORT_HTTP", "80"),
        ("CELERS_WORKER_PORT", "tcp://10.0.0.1:80"),
        ("CELERS_METRICS_PORT", "tcp://10.0.0.1:80"),
        ("CELERS_METRICS_PORT_9464_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_variables_of_others_and_of_kubernetes_are_left_alone(tmp_path, variable, text):
    assert load(tmp_path, environment={variable: text}).config == Config()


def test_the_file_sets_queues_and_handlers_by_name(tmp_path):
    write(
        tmp_path,
        """
        [queues."eu.emails"]
        concurrency = 4
        [queues.empty]
        [handlers."shop.tasks:pay"]
        timeout = "1h30m"
        max_retries = 0
        """,
    )
    loaded = load(tmp_path)
    assert loaded.config.queues["eu.emails"].concurrency == 4
    assert loaded.config.handlers["shop.tasks:pay"].timeout == timedelta(minutes=90)
    assert loaded.config.handlers["shop.tasks:pay"].max_retries == 0
    assert loaded.config.handlers["shop.tasks:pay"].concurrency is None
    assert loaded.sources["queues.eu.emails.concurrency"] == "celers.toml"
    assert loaded.sources["handlers.shop.tasks:pay.concurrency"] == "default"


def test_the_file_given_goes_before_the_one_named_and_that_before_those_found(tmp_path):
    given = write(tmp_path, "[worker]\nthreads = 1", "given.toml")
    write(tmp_path, "[worker]\nthreads = 2", "named.toml")
    write(tmp_path, "[tool.celers.worker]\nthreads = 4", "pyproject.toml")
    environment = {"CELERS_CONFIG": "named.toml"}

    def threads(**arguments):
        loaded = load(tmp_path, **arguments)
        return loaded.config.worker.threads, loaded.sources["worker.threads"]

    assert threads() == (4, "pyproject.toml")
    write(tmp_path, "[worker]\nthreads = 3")
    assert threads() == (3, "celers.toml")
    assert threads(environment=environment) == (2, "named.toml")
    assert threads(environment=environment, file=given) == (1, str(given))
    assert threads(file=Path("given.toml")) == (1, "given.toml")


@pytest.mark.parametrize(
    "text",
    ["", "[tool.other]\nx = 1", "tool = 5 # celers", "[project]\nname = 'celers'", "= broken"],
)
def test_a_pyproject_without_our_table_is_no_configuration(tmp_path, text):
    write(tmp_path, text, "pyproject.toml")
    assert load(tmp_path).config == Config()


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf[worker]\nthreads = 7\n",
        b"[worker]\r\nthreads = 7\r\n",
        b"worker = { threads = 7 }",
        b"worker.threads = 7",
        b'["worker"]\n"threads" = 7',
    ],
    ids=["byte order mark", "CRLF", "inline table", "dotted key", "quoted names"],
)
def test_every_way_of_writing_toml_is_understood(tmp_path, data):
    (tmp_path / "celers.toml").write_bytes(data)
    assert load(tmp_path).config.worker.threads == 7


def test_the_url_may_be_in_a_file_for_secrets(tmp_path):
    write(tmp_path, f"{URL}\n", "secret").chmod(0o444)
    loaded = load(tmp_path, environment={"CELERS_DATABASE_URL_FILE": "secret"})
    assert loaded.config.database.url == URL
    assert loaded.sources["database.url"] == "CELERS_DATABASE_URL_FILE"


def test_a_credential_of_systemd_is_the_url_if_nothing_else_is(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert load(tmp_path, environment=environment).config == Config()
    write(credentials, f"{URL}\n", "database_url")
    loaded = load(tmp_path, environment=environment)
    assert loaded.config.database.url == URL
    assert loaded.sources["database.url"] == "$CREDENTIALS_DIRECTORY/database_url"
    loaded = load(tmp_path, environment=environment, database__url="sqlite:///x.db")
    assert loaded.config.database.url == "sqlite:///x.db"


def test_rows_show_every_value_as_toml_with_its_source_and_no_secret(tmp_path):
    write(
        tmp_path,
        '[worker]\nlease = 90.5\n[queues.emails]\nconcurrency = 4\n[handlers."a.b"]\ntimeout = 1',
    )
    environment = {"CELERS_DATABASE_URL": URL, "CELERS_WORKER_QUEUES": "emails,reports:4"}
    loaded = load(tmp_path, environment=environment)
    rows = {row.key: row for row in loaded.rows()}
    assert list(rows) == list(loaded.sources)
    assert rows["database.url"].value == '"postgresql://user:***@host/name"'
    assert rows["worker.queues"][1:3] == ('["emails", "reports:4"]', "CELERS_WORKER_QUEUES")
    assert rows["worker.lease"][1:3] == ('"90.5s"', "celers.toml")
    assert rows["worker.timeout"][1:3] == ("none", "default")
    assert rows["queues.emails.concurrency"].value == "4"
    assert rows["handlers.a.b.timeout"].value == '"1s"'
    assert all(row.description.endswith(".") for row in rows.values())
    assert "hunter2" not in str(list(rows.values()))
    for row in rows.values():
        assert row.value == "none" or tomllib.loads(f"value = {row.value}")


def test_a_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        Config().worker.concurrency = 5  # type: ignore[misc]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"worker": {"threat": 1}}, Config)


def test_importing_the_configuration_imports_nothing_heavy():
    program = "import sys, celers_worker.config; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert not {"sqlalchemy", "asyncio", "click", "rich", "tomllib", "socket"} & set(modules)
