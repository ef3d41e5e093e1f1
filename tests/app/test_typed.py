"""Typed arguments, results and errors, from the producer to the handler and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from celers_worker import Celers, TaskFailed, testing
from celers_worker.config.settings import Config
from celers_worker.config.tables import HandlerSettings
from celers_worker.core.codec import Codec
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.task import TaskState
from celers_worker.store.direct import DirectStore
from tests.store.steps import live_rows


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass(frozen=True)
class Line:
    product: UUID
    price: Decimal
    size: Size = Size.SMALL


class Receipt(pydantic.BaseModel):
    number: int
    paid_at: datetime
    total: Decimal


class OutOfStock(Exception):
    """What its handler declares."""

    product: UUID

    def __init__(self, product: UUID, left: int) -> None:
        super().__init__(f"{left} left of {product}")
        self.product = product
        self.left = left


class MessagePack:
    name = "msgpack"

    def encode(self, value: Any, /) -> bytes:
        return msgspec.msgpack.encode(value)

    def decode(self, data: bytes, /) -> Any:
        return msgspec.msgpack.decode(data)


LINE = Line(UUID(int=7), Decimal("9.90"), Size.LARGE)


# --- arguments and results ---


async def test_arguments_and_results_are_what_was_annotated(app: Celers) -> None:
    seen: list[Any] = []

    @app.task()
    async def order(lines: list[Line], *, on: date, within: timedelta | None = None) -> Receipt:
        seen.append((lines, on, within))
        return Receipt(number=1, paid_at=datetime(2031, 5, 17, tzinfo=UTC), total=lines[0].price)

    lines, on = [LINE, Line(UUID(int=8), Decimal(1))], date(2031, 5, 17)
    task = await order.enqueue(lines, on=on, within=timedelta(hours=1))
    by_name = await app.enqueue("order", lines=lines, on="2031-05-17")
    await testing.drain(app)
    assert seen == [(lines, on, timedelta(hours=1)), (lines, on, None)]
    for result in (await task.result(), await app.result(by_name.id), task.result_sync()):
        assert result == Receipt(
            number=1, paid_at=datetime(2031, 5, 17, tzinfo=UTC), total=Decimal("9.90")
        )


async def test_an_argument_of_another_type_is_refused_before_anything_is_written(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    async def order(line: Line, count: int = 1) -> None: ...

    enqueues: list[Callable[[], Any]] = [
        lambda: order.enqueue_sync({"product": "x", "price": "1"}),  # type: ignore[arg-type]  # so
        lambda: order.enqueue_sync(LINE, count="2"),  # type: ignore[arg-type]  # on purpose
        lambda: app.enqueue_sync("order", line=LINE, count=None),
        lambda: order.call(7),  # type: ignore[arg-type]  # on purpose
    ]
    for enqueue in enqueues:
        with pytest.raises(PayloadError, match=r"order: args\.(line\.product|count|line): "):
            enqueue()
    assert not live_rows(direct)


async def test_a_payload_that_does_not_fit_is_dead_at_once_and_says_why(app: Celers) -> None:
    task = await app.enqueue("order", count="many")

    @app.task()
    async def order(count: int) -> None:
        raise AssertionError("it must not be called")

    await testing.drain(app)
    with pytest.raises(TaskFailed, match=r"args\.count: expected `int`, got") as failed:
        await task.result()
    assert failed.value.type == "celers_worker.core.errors.PayloadError"


async def test_who_has_not_the_handler_reads_json(app: Celers, migrated_url: str) -> None:
    @app.task()
    async def order() -> Line:
        return LINE

    task = await order.enqueue()
    await testing.drain(app)
    stranger = Celers(migrated_url)
    product = str(LINE.product)
    assert await stranger.result(task.id) == {"product": product, "price": "9.90", "size": "l"}
    await stranger.close()


# --- errors ---


async def test_a_declared_error_is_raised_again_with_its_fields(app: Celers) -> None:
    @app.task(max_retries=0, raises=OutOfStock)
    async def order(line: Line) -> None:
        raise OutOfStock(line.product, left=3)

    task = await order.enqueue(LINE)
    await testing.drain(app)
    for wait in (task.result, lambda: app.result(str(task.id))):
        with pytest.raises(OutOfStock, match=f"3 left of {LINE.product}") as raised:
            await wait()
        assert (raised.value.product, raised.value.left) == (LINE.product, 3)
        failed = raised.value.__cause__
        assert isinstance(failed, TaskFailed)
        assert "raise OutOfStock(line.product, left=3)" in str(failed.traceback)


async def test_another_error_is_a_failure_with_type_message_and_traceback(
    app: Celers, migrated_url: str
) -> None:
    @app.task(max_retries=0, raises=OutOfStock)
    async def order(line: Line) -> None:
        raise ValueError("no such user")

    @app.task(max_retries=0, raises=OutOfStock)
    async def declared() -> None:
        raise OutOfStock(UUID(int=7), left=3)

    task, known = await order.enqueue(LINE), await declared.enqueue()
    await testing.drain(app)
    with pytest.raises(TaskFailed) as failed:
        await task.result()
    error = failed.value
    assert (error.state, error.type, error.message) == ("failed", "ValueError", "no such user")
    assert (error.data, error.error) == ({}, "ValueError: no such user")
    assert 'raise ValueError("no such user")' in str(error.traceback)
    stranger = Celers(migrated_url)
    with pytest.raises(TaskFailed, match="OutOfStock: 3 left") as failed:
        await stranger.result(known)
    assert str(failed.value.type).endswith("test_typed.OutOfStock")
    assert failed.value.data == {"product": str(UUID(int=7)), "left": 3}
    await stranger.close()


# --- how long, how large ---


async def test_a_handler_says_how_long_its_results_are_kept(app: Celers) -> None:
    @app.task(result_ttl=0)
    async def forgets() -> int:
        return 7

    @app.task(result_ttl="1h")
    async def remembers() -> int:
        return 7

    tasks = [await forgets.enqueue(), await remembers.enqueue()]
    await testing.drain(app)
    assert [await task.result() for task in tasks] == [None, 7]
    assert [await task.forget() for task in tasks] == [False, True]
    assert await tasks[1].result() is None
    assert not tasks[1].forget_sync()
    assert await tasks[1].state() is TaskState.COMPLETED


async def test_limits_come_from_the_configuration(app: Celers) -> None:  # T35
    config = app.client.config
    limits = msgspec.structs.replace(config.limits, arguments=30, result=10)
    app.client.config = msgspec.structs.replace(config, limits=limits)

    @app.task()
    async def work(text: str) -> str:
        return text

    enqueues: list[Callable[[], Any]] = [
        lambda: work.call("x" * 30),
        lambda: app.enqueue_sync("other", a="x" * 30),
    ]
    for too_much in enqueues:
        with pytest.raises(PayloadError, match=r"more than the limit of 30.*limits\.arguments"):
            too_much()
    task = await work.enqueue("x" * 15)
    await testing.drain(app)
    with pytest.raises(TaskFailed, match=r"result takes 17 bytes.*limit of 10.*limits\.result"):
        await task.result()


# --- versions ---


async def test_tasks_of_an_old_version_are_never_given_to_new_code(
    app: Celers, direct: DirectStore
) -> None:
    old = await app.enqueue("greet", name="Ada")

    @app.task(version=2)
    async def greet(first: str, last: str) -> str:
        return f"{first} {last}"

    new = await greet.enqueue("Ada", "Lovelace")
    await testing.drain(app)
    assert await new.result() == "Ada Lovelace"
    [row] = live_rows(direct)
    assert (row.id, row.state) == (old.id, "pending")
    assert row.error_message == (
        "no handler is called 'greet'. That is version 1 of 'greet'; here is 2."
    )

    @app.task(name="greet")
    async def greet_as_ever(name: str) -> str:
        return name

    await testing.drain(app)
    assert await old.result() == "Ada"


def test_settings_of_a_handler_are_those_of_all_its_versions() -> None:
    app = Celers()
    timeouts = {"send": 5, "send:3": 7}
    app.client.config = Config(
        handlers={
            name: HandlerSettings(timeout=timedelta(seconds=seconds))
            for name, seconds in timeouts.items()
        }
    )
    found = []
    for number in (1, 2, 3):
        task = app.task(name="send", version=number)(lambda: None)
        found.append(app.client.configured(task.handler).timeout)
    assert found == [timedelta(seconds=5), timedelta(seconds=5), timedelta(seconds=7)]


# --- codecs ---


@pytest.mark.parametrize(
    ("codec", "value"), [("raw", b"\0\xff"), (MessagePack(), {"a": [b"\0", 1.5]})]
)
async def test_a_codec_carries_arguments_and_results(
    app: Celers, migrated_url: str, codec: Codec | str, value: Any
) -> None:
    @app.task(codec=codec)
    async def echo(value: Any) -> Any:
        return value

    task = await echo.enqueue(value)
    await testing.drain(app)
    assert await task.result() == value
    stranger = Celers(migrated_url)
    if codec == "raw":
        assert await stranger.result(task) == value
    else:
        with pytest.raises(PayloadError, match=r"codec 'msgpack'.*with the handler 'echo'"):
            await stranger.result(task)
    await stranger.close()


# --- declarations ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 0}, "version is 0"),
        ({"raises": KeyboardInterrupt}, "is no exception class"),
        ({"raises": [ValueError, "x"]}, "'x' is no exception class"),
        ({"result_ttl": "soon"}, "result_ttl is 'soon'"),
        ({"codec": "pickle"}, "codec is 'pickle'"),
    ],
)
def test_a_wrong_declaration_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Celers().task(name="work", **options)(lambda value: None)
