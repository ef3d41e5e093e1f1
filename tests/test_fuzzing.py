"""Whatever is written, a parser reads it or refuses it with an error of ours, in bounded time."""

from __future__ import annotations

import os
import string
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from celers_worker.cli import main
from celers_worker.config import load_config, redact_url
from celers_worker.config.url import has_password, url_problems
from celers_worker.core import foreign, payload
from celers_worker.core.backoff_text import parse_backoff
from celers_worker.core.cron import Cron, zone_of
from celers_worker.core.duration import parse_duration
from celers_worker.core.errors import CelersError
from celers_worker.core.names import check_queue_name, check_schedule_name, check_task_name
from celers_worker.core.retry import RetryPolicy
from celers_worker.store.tls import tls_of
from celers_worker.store.urls import driver_url

#: Seconds of the CPU for one input, on a machine that is three times slower. Not of the clock, for
#: others have their turns: hypothesis' deadline would count those too.
_BOUND = 2.0
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_CRON = st.text(alphabet="0123456789*/,-#LW?@ JANMONhourlydai\t", max_size=80)
_TOML = st.lists(
    st.sampled_from(
        [
            *("[worker]", "[database]", "[queues.a]", "[[handlers]]", "[schedules.s]", "[routes]"),
            *("concurrency", "url", "cron", "every", "lease", "=", "=", "=", "\n", "\n", "\n"),
            *('"30s"', "'x'", "1", "-1", "1e400", "nan", "true", "[1]", "{a=1}", '"""', "'''"),
            *("1979-05-27T07:32:00Z", "0x", "9" * 5_000, "\\u0000", "#", ".", "\0", "\ufeff", " "),
            *('"* * * * *"', '"postgresql://u:p@h/n"', '"\\uD800"', "[" * 50, "a.b.c"),
        ]
    ),
    max_size=40,
).map("".join)
_PARTS = st.lists(
    st.sampled_from(
        [
            *("postgresql", "mysql", "sqlite", "memory", "://", ":", "/", "@", "?", "#", "&", "="),
            *("user", "localhost", "[::1]", "[", "]", "99999", "%", "%40", "%zz", "sslmode", "é"),
            *(
                "sslrootcert",
                "verify-full",
                "prefer",
                "host",
                ",",
                "\0",
                " ",
                "\n",
                "..",
                "+psycopg",
            ),
        ]
    ),
    max_size=15,
).map("".join)


def read_or_refused(parse: Callable[[Any], object], value: Any) -> None:
    """Parse; a CelersError is a refusal, anything else a bug. A refusal is short and plain."""
    told: Sequence[str] = ()
    began = time.process_time()
    try:
        parse(value)
    except CelersError as error:
        told = getattr(error, "problems", None) or [str(error)]
    assert time.process_time() - began < _BOUND
    for line in told:
        assert 0 < len(line) < 2_000
        assert line.isprintable(), repr(line)


@MANY
@given(_CRON | st.text(max_size=200))
@example("0 0 1--100000000 * *")
@example("*/00000000000000000000001 * * * *")
@example("0-59/1," * 5_000)
@example("0 0 29 2 MON#5")
def test_any_cron_expression(expression: str) -> None:
    read_or_refused(Cron, expression)


@MANY
@given(st.text(max_size=100) | st.sampled_from(["../../etc/passwd", "/etc/localtime", "a\0b"]))
def test_any_zone(name: str) -> None:
    read_or_refused(zone_of, name)


@MANY
@given(st.text(max_size=100) | st.text(alphabet="0123456789.smhdwe+- ", max_size=60))
@example("9" * 10_000)
@example("1h" * 10_000)
def test_any_duration(text: str) -> None:
    read_or_refused(parse_duration, text)


@MANY
@given(st.text(max_size=100) | st.text(alphabet="exponetialfixdrwhb(=,)'\"12s ", max_size=60))
@example("exponential(" * 1_000)
def test_any_backoff(text: str) -> None:
    read_or_refused(parse_backoff, text)


@MANY
@given(st.text(max_size=300))
@pytest.mark.parametrize("check", [check_queue_name, check_task_name, check_schedule_name])
def test_any_name(check: Callable[[object], str], name: str) -> None:
    read_or_refused(check, name)


@MANY
@given(st.binary(max_size=400) | _TOML.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"x = " + b"[" * 50_000)
@example(b'x = "' + b"\\u0041" * 50_000)
def test_any_configuration_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "celers.toml"
        file.write_bytes(data)
        file.chmod(0o600)
        read_or_refused(lambda place: load_config(environment={}, directory=place), Path(folder))


_WITHOUT_NUL = st.text(max_size=60).filter(lambda text: "\0" not in text)
_VARIABLES = ["CELERS_WORKER_CONCURRENCY", "CELERS_WORKER_QUEUES", "CELERS_DATABASE_URL"]


@MANY
@given(
    st.dictionaries(
        st.sampled_from(_VARIABLES), st.text(max_size=60).filter(lambda t: "\0" not in t)
    )
)
def test_any_environment(environment: dict[str, str]) -> None:
    read_or_refused(
        lambda given_: load_config(environment=given_, directory=Path("/nowhere")), environment
    )


@MANY
@given(_PARTS | st.text(max_size=200))
@example("postgresql://" + "a:" * 20_000 + "@h")
@example("postgresql://h/" + "?" * 20_000)
def test_any_url(text: str) -> None:
    redact_url(text)
    has_password(text)
    if not list(url_problems(text)):
        read_or_refused(lambda url: driver_url(url, synchronous=True), text)
        read_or_refused(lambda url: tls_of(driver_url(url, synchronous=True)[0]), text)


@MANY
@given(
    st.dictionaries(
        st.sampled_from(["sslmode", "host", "ssl", "sslcert", "hostaddr"]), st.text(max_size=30)
    )
)
def test_any_query_about_tls(query: dict[str, str]) -> None:
    read_or_refused(tls_of, make_url("postgresql://db/n").update_query_dict(query))


@MANY
@given(
    st.binary(max_size=400)
    | st.text(alphabet='{}[]",:0123456789eE.-truefalsn\\u', max_size=200).map(str.encode)
)
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 100_000)
@example(b"1e999999999")
def test_any_payload(data: bytes) -> None:
    read_or_refused(payload.decode, data)
    read_or_refused(payload.decode_arguments, data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
_METADATA = st.dictionaries(
    st.sampled_from(["retry_policy", "strategy", "traceparent", "queue", "base_delay_ms", "type"]),
    _JSON,
)


@MANY
@given(_METADATA | st.dictionaries(st.just("retry_policy"), _METADATA))
def test_any_metadata_of_a_foreign_producer(metadata: dict[str, Any]) -> None:
    foreign.retry_policy(metadata, RetryPolicy())
    foreign.traceparent(metadata)


_WORDS = st.text(alphabet=string.printable.replace("\0", ""), max_size=30)
_FILTERS = [
    "--queue",
    "--name",
    "--error",
    "--older-than",
    "--tag",
    "--metadata",
    "--state",
    "--limit",
]


@settings(MANY, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(_FILTERS), _WORDS), max_size=3))
def test_any_filter_of_the_command_line(given_: list[tuple[str, str]]) -> None:
    from click.testing import CliRunner

    arguments = [f"{name}={value}" for name, value in given_]
    folder = tempfile.mkdtemp()
    previous = os.getcwd()
    os.chdir(folder)
    try:
        answer = CliRunner().invoke(main, ["--database", "memory://", "task", "list", *arguments])
    finally:
        os.chdir(previous)
    assert answer.exit_code in (0, 2), answer.stderr
    assert "bug" not in answer.stderr
    assert "Traceback" not in answer.stderr
