"""Each mistake in a configuration, and the sentence it gets: what, where, why, what to write."""

from __future__ import annotations

import pytest

from celers_worker.config import load_config
from celers_worker.core.errors import ConfigurationError


def problems_of(directory, *, text=None, environment=None, flags=None, file=None):
    if text is not None:
        data = text if isinstance(text, bytes) else text.encode()
        (directory / "celers.toml").write_bytes(data)
    with pytest.raises(ConfigurationError) as refusal:
        load_config(
            file=file, environment=environment or {}, flags=flags or {}, directory=directory
        )
    assert str(refusal.value) == "\n".join(refusal.value.problems)
    assert all("\n" not in problem for problem in refusal.value.problems)
    return list(refusal.value.problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[wroker]\n", "celers.toml:1: unknown table [wroker]. Did you mean 'worker'?"),
        ("[zebra]\n", "celers.toml:1: unknown table [zebra]. There are [database], [worker], "),
        (
            "[worker]\n\nthraeds = 2",
            "celers.toml:3: unknown key 'thraeds' in [worker]. Did you mean",
        ),
        (
            "[worker]\npool_size = 2",
            ":2: unknown key 'pool_size' in [worker]. It belongs in [database]",
        ),
        (
            "concurrency = 2",
            ":1: unknown key 'concurrency' outside of any table. It belongs in [worker]",
        ),
        ("worker = 2", "celers.toml:1: worker must be a table: write [worker] once"),
        ("[[worker]]\nthreads = 2", "celers.toml:1: worker must be a table"),
        ("queues = ['a']", "celers.toml:1: queues must hold a table for each name: [queues.NAME]"),
        ("[queues]\nconcurrency = 2", ":2: 'concurrency' belongs in [queues.NAME]"),
        ("[queues]\nemails = 2", ":2: 'emails' must be a table: [queues.emails]"),
        (
            "[queues.emails]\nconcurency = 2",
            ":2: unknown key 'concurency' in [queues.emails]. Did you",
        ),
        ("[queues.'a b']\nconcurrency = 2", "celers.toml:1: 'a b' cannot name a queue"),
        ("[queues.'']\nconcurrency = 2", "celers.toml:1: '' cannot name a queue"),
        ("[handlers.'a b']\ntimeout = 2", "celers.toml:1: 'a b' cannot name a task"),
        ("[handlers.shop.pay.now]\ntimeout = 2", 'dots in quotes: [handlers."shop.pay.now"]'),
        ('["\\u001b[31m"]\n', "unknown table ['\\x1b[31m']"),
    ],
)
def test_a_wrong_table_or_key_gets_its_line_and_the_nearest_right_one(tmp_path, text, problem):
    [found] = problems_of(tmp_path, text=text)
    assert problem in found


@pytest.mark.parametrize(
    ("table", "line", "problem"),
    [
        ("worker", 'concurrency = "ten"', "is 'ten': write a whole number from 1 to 100000."),
        ("worker", 'concurrency = "10"', "whole number from 1 to 100000, without quotes."),
        ("worker", "concurrency = 0", "is 0: write a whole number"),
        ("worker", "concurrency = -1", "is -1: write"),
        ("worker", "concurrency = 1e9", "is 1000000000.0: write"),
        ("worker", "concurrency = 1.5", "is 1.5: write"),
        ("worker", "concurrency = nan", "is nan: write"),
        ("worker", "concurrency = inf", "is inf: write"),
        ("worker", "concurrency = true", "is true: write"),
        ("worker", "concurrency = [1]", "is a list: write"),
        ("worker", "concurrency = {}", "is a table: write"),
        ("worker", "concurrency = 100_001", "is 100001: write"),
        ("worker", f"concurrency = 0x{'f' * 9_000}", "is a huge number: write"),
        ("worker", "queue_concurrency = 0", "from 1 to 100000"),
        ("worker", "threads = 0", "from 1 to 1024"),
        ("worker", "max_crashes = 0", "from 1 to 1000"),
        ("worker", "settle_batch = 0", "from 1 to 10000"),
        ("worker", "lease = nan", 'write a number with a unit, such as "30s"'),
        ("worker", "lease = 2025-01-01", "write a number with a unit"),
        ("worker", 'lease = "soon"', "is 'soon': write a number with a unit"),
        ("worker", f"lease = 0x{'f' * 9_000}", "is a huge number: it must lie between"),
        ("worker", "grace = -1", "is -1: it must lie between 0 and 100 years"),
        ("worker", "poll_interval = 0", "is 0: it must be at least 1ms"),
        ("worker", 'timeout = "0s"', "is '0s': it must be at least 1ms"),
        ("worker", 'name = ""', "write 1 to 255 printable characters"),
        ("worker", 'name = "a\\nb"', "write 1 to 255 printable characters"),
        ("worker", f'name = "{"n" * 256}"', "write 1 to 255 printable characters"),
        ("worker", "name = 5", "is 5: write 1 to 255 printable characters"),
        ("worker", 'app = "shop/tasks.py"', "no '/' and no '.py'; write module or module:attr"),
        ("worker", 'app = "shop:"', 'write module or module:attribute, such as "shop.tasks"'),
        ("worker", "app = 5", "is 5: write module"),
        ("worker", 'modules = "shop"', "is 'shop': write a list"),
        ("worker", 'modules = [""]', "is '': write the name of a module"),
        ("worker", 'modules = ["shop:app"]', "is 'shop:app': write the name of a module"),
        ("worker", 'modules = ["shop", "shop"]', "lists 'shop' twice"),
        ("worker", "queues = 5", "is 5: write a list"),
        ("worker", "queues = [5]", "is 5: write a name in quotes"),
        ("worker", 'queues = ["a b"]', "'a b' cannot name a queue"),
        ("worker", 'queues = ["a:0"]', "'a:0': after the colon, write how many"),
        ("worker", 'queues = ["a", "a:2"]', "lists 'a' twice: remove one"),
        ("metrics", "port = 65536", "from 0 to 65535"),
        ("metrics", "port = -1", "from 0 to 65535"),
        ("metrics", 'host = ""', "write 1 to 255 printable characters"),
        ("log", 'level = "warn"', "is 'warn': write one of debug, info, warning, error. Did you"),
        ("log", "format = 5", "is 5: write one of auto, console, json."),
        ("retention", 'dead = "-1d"', "write a number with a unit"),
        ("database", "pool_size = 0", "from 1 to 1000"),
        ("database", "call_timeout = 0", "at least 1ms"),
        ("database", 'url = ""', "is empty"),
        ("database", "url = 5", "is no text"),
        ("database", 'url = "postgre://h/n"', "Did you mean 'postgres'?"),
        ("database", 'url = "postgresql://h:70000/n"', "no number from 1 to 65535"),
        ("queues.emails", "concurrency = 0", "queues.emails.concurrency is 0: write"),
        ("handlers.pay", "max_retries = 1001", "handlers.pay.max_retries is 1001: write"),
        ("handlers.pay", "max_retries = -1", "from 0 to 1000"),
    ],
)
def test_a_wrong_value_gets_its_line_and_what_to_write(tmp_path, table, line, problem):
    [found] = problems_of(tmp_path, text=f"# first line\n[{table}]\n{line}\n")
    assert found.startswith(f"celers.toml:3: {table}.{line.partition(' ')[0]}")
    assert problem in found
    assert len(found) < 300


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (
            {"CELERS_WORKER_CONCURENCY": "5"},
            "CELERS_WORKER_CONCURENCY: unknown variable. Did you mean 'CELERS_WORKER_CONCURRENCY'?",
        ),
        (
            {"CELERS_WORKER_CONCURRENCY": "ten"},
            "CELERS_WORKER_CONCURRENCY: worker.concurrency is 'ten': write a whole number",
        ),
        ({"CELERS_WORKER_CONCURRENCY": ""}, "CELERS_WORKER_CONCURRENCY: worker.concurrency is ''"),
        (
            {"CELERS_WORKER_QUEUES": ""},
            "CELERS_WORKER_QUEUES: worker.queues: '' cannot name a queue",
        ),
        ({"CELERS_DATABASE_URL": ""}, "CELERS_DATABASE_URL: database.url is empty"),
        ({"CELERS_METRICS_PORT": "x"}, "CELERS_METRICS_PORT: metrics.port is 'x'"),
        ({"CELERS_QUEUES_EMAILS_CONCURRENCY": "4"}, "or CELERS_WORKER_QUEUES=emails:4"),
        ({"CELERS_HANDLERS_PAY_TIMEOUT": "4"}, "no variable sets [handlers.NAME]"),
        (
            {"CELERS_APP": "a", "CELERS_WORKER_APP": "b"},
            "CELERS_APP and CELERS_WORKER_APP are both",
        ),
        (
            {"CELERS_DATABASE_URL": "sqlite:///x", "CELERS_DATABASE_URL_FILE": "x"},
            "CELERS_DATABASE_URL and CELERS_DATABASE_URL_FILE are both set: unset one.",
        ),
        ({"CELERS_DATABASE_URL_FILE": "none"}, "CELERS_DATABASE_URL_FILE: none does not exist"),
        ({"CELERS_DATABASE_URL_FILE": ""}, 'CELERS_DATABASE_URL_FILE: "" is a directory'),
        ({"CELERS_CONFIG": "none.toml"}, "CELERS_CONFIG: none.toml does not exist"),
        ({"CELERS_CONFIG": ""}, "CELERS_CONFIG is empty"),
        ({"CELERS_CONFIG": "a\0b"}, "cannot be read: embedded null byte"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path, environment, problem):
    [found] = problems_of(tmp_path, environment=environment)
    assert problem in found


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"worker.concurrency": 0}, "--concurrency: worker.concurrency is 0: write a whole number"),
        ({"worker.queues": ("a b",)}, "--queue: worker.queues: 'a b' cannot name a queue"),
        ({"worker.queues": ("",)}, "--queue: worker.queues: '' cannot name a queue"),
        ({"worker.lease": "x"}, "--lease: worker.lease is 'x'"),
        ({"worker.zebra": 5}, "--zebra: unknown setting 'worker.zebra'"),
        ({"zebra": "5"}, "--zebra: unknown setting 'zebra'"),
    ],
)
def test_a_wrong_flag_is_named(tmp_path, flags, problem):
    [found] = problems_of(tmp_path, flags=flags)
    assert problem in found


@pytest.mark.parametrize(
    ("text", "environment", "problem"),
    [
        (
            "[worker]\nlease = 5\nheartbeat_interval = 3",
            {},
            "celers.toml:2 and celers.toml:3: worker.lease is 5s and worker.heartbeat_interval 3s: "
            "the lease must be at least twice",
        ),
        ("[worker]\nheartbeat_interval = 15.001", {}, "celers.toml:2: worker.lease is 30s and"),
        (
            "[worker]\nheartbeat_interval = '20s'",
            {"CELERS_WORKER_LEASE": "30s"},
            "CELERS_WORKER_LEASE and celers.toml:2: worker.lease is 30s",
        ),
        ("[worker]\nreap_interval = '31s'", {}, "the reap_interval must be at most the lease"),
    ],
)
def test_values_that_do_not_fit_together_are_named_together(tmp_path, text, environment, problem):
    [found] = problems_of(tmp_path, text=text, environment=environment)
    assert problem in found


def test_a_value_that_is_wrong_by_itself_is_not_compared(tmp_path):
    [found] = problems_of(tmp_path, text="[worker]\nlease = 'x'\nheartbeat_interval = '20s'")
    assert "worker.lease is 'x'" in found


def test_a_lease_of_exactly_two_heartbeats_is_enough(tmp_path):
    flags = {"worker.lease": 10, "worker.heartbeat_interval": 5, "worker.reap_interval": 10}
    load_config(environment={}, flags=flags, directory=tmp_path)


def test_all_problems_of_all_sources_come_at_once_even_those_that_would_be_hidden(tmp_path):
    found = problems_of(
        tmp_path,
        text='[worker]\nthreads = 0\nqueues = ["a b", "c d"]\n[wroker]\n',
        environment={"CELERS_WORKER_THREADS": "x", "CELERS_WORKER_LEESE": "5s"},
        flags={"worker.threads": 4, "log.level": "loud"},
    )
    assert [problem.partition(" ")[0] for problem in found] == [
        "celers.toml:2:",
        "celers.toml:3:",
        "celers.toml:3:",
        "celers.toml:4:",
        "CELERS_WORKER_LEESE:",
        "CELERS_WORKER_THREADS:",
        "--log-level:",
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[database]\nurl = "postgresql://u:hunter2@h:99999/n"',
        '[database]\nurl = "postgresql://u:hunt/hunter2@h/n"',
        '[database]\nurl = "postgre://u:hunter2@h/n"',
        '[database]\nurl = "u:hunter2@h/n"',
        '[database]\nurl = ["postgresql://u:hunter2@h/n"]',
        '[database]\nurl = "postgresql://u:hunter2@h/n\\n"',
        '[database]\nurl = "postgresql://u:hunter2"',
        '[database]\nurll = "postgresql://u:hunter2@h/n"',
        '[database]\npassword = "hunter2"',
        'database = "postgresql://u:hunter2@h/n"',
        'url = "postgresql://u:hunter2@h/n"',
        '[database]\nurl = "postgresql://u:hunter2@h/n',
        '[worker]\nname = "postgresql://u:hunter2@h/n"',
        '[worker]\nlease = "postgresql://u:hunter2@h/n"',
        '[worker]\nlease = ["postgresql://u:hunter2@h/n"]',
        '[worker]\nthreads = { url = "postgresql://u:hunter2@h/n" }',
        '[worker]\nqueues = ["postgresql://u:hunter2@h/n"]',
        '[worker]\nqueues = [["postgresql://u:hunter2@h/n"]]',
        '[worker]\nthreads = "postgresql://u:hunter2@h/n"',
        '[log]\nlevel = "postgresql://u:hunter2@h/n"',
    ],
)
def test_no_message_repeats_a_password(tmp_path, text):
    assert "hunter2" not in "\n".join(problems_of(tmp_path, text=text))
