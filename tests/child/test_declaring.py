"""What can be declared of handlers in processes, and what cannot."""

from __future__ import annotations

import pytest

from celers_worker import Celers
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.size import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512_000_000),
        ("512 mb", 512_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2g", None),
        ("64MiB", 67_108_864),
        (1_048_576, 1_048_576),
        ("1048576", 1_048_576),
        ("1048575", None),
        ("-5MB", None),
        ("", None),
        ("MB", None),
        (True, None),
        (1.5, None),
        (10**30, None),
        ("9" * 400, None),
    ],
)
def test_sizes_are_read_as_people_write_them(text: object, size: int | None) -> None:
    if size is None:
        with pytest.raises(ConfigurationError, match=r"^memory is "):
            parse_size(text, name="memory")
    else:
        assert parse_size(text, name="memory") == size
        assert parse_size(format_size(size)) == size


def test_memory_is_for_processes_only() -> None:
    with pytest.raises(ConfigurationError, match='add runs="process"'):

        @Celers().task(memory="512MB")
        def work() -> None: ...


def test_resources_of_a_lifespan_stay_in_the_worker() -> None:
    app = Celers()
    with pytest.raises(ConfigurationError, match="the lifespan opens it in another process"):

        @app.task(runs="process")
        def work(pool: object = app.resource()) -> None: ...


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='it must be "async", "thread" or "process"'):
        Celers().task(runs="fiber")(lambda: None)  # type: ignore[call-overload]
