"""What is wrong with a task is refused before anything is written. Reliability, section 5."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.json import decode

from celers_worker import Celers, CelersError, Options
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.store.direct import DirectStore
from tests.store.steps import live_row, live_rows


@pytest.fixture
def nothing_written(direct: DirectStore) -> Iterator[None]:
    yield
    assert not live_rows(direct)


class Opaque:
    pass


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["me"] = value
    return value


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: list[Any] = [
    *("", " ", "x" * 129, "two words", "*", "';DROP TABLE celers_tasks", "é", "🎉"),
    *("..", ".hidden", "trailing ", "a:4", "a\n", "\0", "\ud800", 7),
]

BAD_OPTIONS: dict[str, tuple[Any, str]] = {
    # rows 13, 17, 18 and 19
    "naive datetime": ({"at": datetime.datetime(2040, 1, 1)}, "no time zone"),
    "year 10000": ({"at": datetime.datetime.max.replace(tzinfo=UTC)}, "the year must lie"),
    "year 1": ({"at": datetime.datetime.min.replace(tzinfo=UTC)}, "the year must lie"),
    "date": ({"at": datetime.date(2040, 1, 1)}, "pass a datetime"),
    "tomorrow": ({"at": "tomorrow"}, "pass a datetime"),
    "seconds as instant": ({"at": 1e30}, "pass a datetime"),
    "negative delay": ({"delay": -5}, "delay is -5: it must lie between 0 and 100 years"),
    "negative timedelta": ({"delay": timedelta(-1)}, "delay is"),
    "NaN delay": ({"delay": math.nan}, "delay is nan"),
    "endless delay": ({"delay": math.inf}, "delay is inf"),
    "delay of 1e30": ({"delay": 1e30}, "between 0 and 100 years"),
    "huge delay": ({"delay": 10**5_000}, "a huge number"),
    "delay in words": ({"delay": "soon"}, 'such as "30s"'),
    "delay that is a flag": ({"delay": True}, "delay is True"),
    "negative expiry": ({"expires": -1}, "expires is -1"),
    "priority 2**40": ({"priority": 2**40}, "32 bits"),
    "priority that is no number": ({"priority": "high"}, "32 bits"),
    "priority 1.5": ({"priority": 1.5}, "32 bits"),
    "max_retries -1": ({"max_retries": -1}, "between 0 and 1000"),
    "max_retries 10**9": ({"max_retries": 10**9}, "between 0 and 1000"),
    "timeout 0": ({"timeout": 0}, "longer than nothing"),
    "timeout -1": ({"timeout": -1}, "between 0 and 100 years"),
    "timeout inf": ({"timeout": math.inf}, "timeout is inf"),
    "unique key ''": ({"unique_key": ""}, "not empty"),
    "unique key of blanks": ({"unique_key": "   "}, "not empty"),
    "unique key with a blank end": ({"unique_key": "a "}, "without blanks"),
    "unique key of 300 bytes": ({"unique_key": "é" * 150}, "300 bytes"),
    "unique key with NUL": ({"unique_key": "a\0b"}, "NUL"),
    "unique key with a surrogate": ({"unique_key": "a\ud800"}, "surrogate"),
    "unique key that is no text": ({"unique_key": 7}, "must be text"),
    "fingerprint of 300 bytes": ({"fingerprint": "x" * 300}, "300 bytes"),
    "metadata that is no JSON": ({"metadata": {"when": Opaque()}}, r"metadata\.when is a Opaque"),
    "metadata with NUL": ({"metadata": {"a": "\0"}}, r"metadata\.a contains NUL"),
} | {f"queue {name!r:.24}": ({"queue": name}, "cannot name a queue") for name in HOSTILE}

BAD_ARGUMENTS: dict[str, tuple[Any, str]] = {
    # rows 14, 15 and 16
    "set": ({1, 2}, "args.value is a set"),
    "bytes": (b"raw", "args.value is a bytes"),
    "datetime": (datetime.datetime(2040, 1, 1, tzinfo=UTC), "args.value is a datetime"),
    "Decimal": (decimal.Decimal(1), "args.value is a Decimal"),
    "UUID": (uuid4(), "args.value is a UUID"),
    "object": (Opaque(), "args.value is a Opaque"),
    "class": (Opaque, "args.value is a type"),
    "complex": (1j, "args.value is a complex"),
    "circular": (circular(), "contains itself"),
    "NaN": (math.nan, "args.value is nan"),
    "Infinity": ({"a": [1, -math.inf]}, r"args.value.a[1] is -inf"),
    "a key that is no text": ({1: 2}, "args.value has the key 1"),
    "a deep place": ({"user": [0, 0, 0, {"born": Opaque()}]}, "args.value.user[3].born is"),
    "31 levels": (nested(31), "deeper than 30 levels"),
    "100,000 levels": (nested(100_000), "deeper than 30 levels"),
    "NUL": ("a\0b", "args.value contains NUL at position 1"),
    "NUL in a key": ({"a\0": 1}, "a key of args.value contains NUL"),
    "lone surrogate": (["\udfff"], "args.value[0] contains the lone surrogate U+DFFF"),
    "1 MiB and a byte": ("x" * (1024 * 1024 + 1), "more than the limit of 1,048,576"),
    "17 MB": ("x" * 17_000_000, "more than the limit"),
    "a generator": ((n for n in range(3)), "args.value is a generator"),
}


on_a_file = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@on_a_file
@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
async def test_a_bad_option_is_refused_with_a_reason_and_nothing_is_written(
    app: Celers, options: dict[str, Any], words: str
) -> None:
    @app.task()
    def send() -> None: ...

    with pytest.raises((ConfigurationError, PayloadError), match=words) as refused:
        await send.with_(**options).enqueue()
    assert "\n" not in str(refused.value), "one line"
    with pytest.raises(CelersError):
        send.with_(**options).enqueue_sync()
    with pytest.raises(CelersError):
        await app.enqueue("send", options=Options(**options))


@on_a_file
@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(("value", "words"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
async def test_a_bad_argument_is_refused_with_its_place_and_nothing_is_written(
    app: Celers, value: Any, words: str
) -> None:
    # T35
    @app.task()
    def send(value: Any) -> None: ...

    with pytest.raises(PayloadError) as refused:
        send.enqueue_sync(value)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 500
    with pytest.raises(PayloadError):
        app.enqueue_sync("else", value=value)
    with pytest.raises(ValueError, match="args"):
        await send.enqueue(value)
    with pytest.raises(PayloadError):
        await app.enqueue_many([send.call("good"), send.call(value)])


@on_a_file
@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    "name", ["", "9lives", "two words", "a" * 256, "';DROP TABLE", "é", "a\0", "-dash", 7]
)
async def test_a_bad_name_of_a_task_is_refused_and_nothing_is_written(
    app: Celers, name: Any
) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a task"):
        await app.enqueue(name)


@pytest.mark.parametrize("migrated_url", ["postgres", "mysql"], indirect=True)
@pytest.mark.usefixtures("nothing_written")
async def test_every_database_refuses_the_same(app: Celers) -> None:
    @app.task()
    def send(value: Any = None) -> None: ...

    for options, _ in BAD_OPTIONS.values():
        with pytest.raises(CelersError):
            await send.with_(**options).enqueue()
    for value, _ in BAD_ARGUMENTS.values():
        with pytest.raises(PayloadError):
            await send.enqueue(value)


async def test_what_is_just_within_the_limits_is_kept_as_it_is(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    def send(value: Any) -> None: ...

    values: list[Any] = [2**63, -(2**63), 1.5e300, nested(28), "x" * 1_000_000, "é🎉\u2028", [], {}]
    for value in values:
        task = await send.enqueue(value)
        assert decode(live_row(direct, task.id).payload) == {"value": value}
    task = await send.with_(
        priority=-(2**31), max_retries=1_000, unique_key="é" * 127, queue="x" * 128
    ).enqueue(1)
    row = live_row(direct, task.id)
    assert (row.priority, row.max_retries) == (-(2**31), 1_000)
    assert (row.unique_key, row.queue_name) == ("é" * 127, "x" * 128)


async def test_keys_are_compared_byte_for_byte(app: Celers, direct: DirectStore) -> None:
    # row 19; the last two are one word in two normal forms
    @app.task()
    def send() -> None: ...

    for key in ("a", "A", "á", "a\u0301"):
        assert not (await send.with_(unique_key=key).enqueue()).existing
    assert len(live_rows(direct)) == 4
