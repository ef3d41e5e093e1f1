"""What may be said about a unique key, and what cannot be meant together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.options import Options
from celers_worker.core.uniqueness import OnConflict, Uniqueness


def task_of(**options):
    return Options(**options).task("send", b"{}")


def test_a_plain_key_needs_nothing_more():
    assert task_of(unique_key="k").uniqueness is None
    assert task_of().uniqueness is None


def test_what_is_said_of_a_key_travels_with_the_task():
    task = task_of(unique_key="k", unique_for="1h", on_conflict="raise")
    assert task.uniqueness == Uniqueness(on_conflict=OnConflict.RAISE, window=timedelta(hours=1))


def test_a_debounced_task_is_due_after_its_pause():
    task = task_of(unique_key="k", debounce="5s", debounce_max="1m")
    assert task.delay == timedelta(seconds=5)
    assert task.uniqueness is not None
    assert task.uniqueness.replaces
    assert task.uniqueness.debounce_max == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unique_for": "1h"}, "unique_for says how a unique key is held, but there is no"),
        ({"debounce": "5s"}, "debounce says how a unique key is held"),
        ({"unique_key": "k", "on_conflict": "replaec"}, "Did you mean 'replace'"),
        ({"unique_key": "k", "unique_for": 0}, "unique_for is 0: it must be longer"),
        ({"unique_key": "k", "debounce": "x"}, "debounce is 'x': write a number with a unit"),
        ({"unique_key": "k", "debounce": 5, "delay": 5}, "does not go with delay"),
        ({"unique_key": "k", "debounce": 5, "unique_for": 5}, "does not go with unique_for"),
        (
            {"unique_key": "k", "debounce": 5, "at": datetime(2040, 1, 1, tzinfo=UTC)},
            "does not go with at",
        ),
        ({"unique_key": "k", "debounce": 5, "on_conflict": "raise"}, "can only be 'replace'"),
        ({"unique_key": "k", "debounce": 5, "debounce_max": 4}, "shorter than debounce"),
        ({"unique_key": "k", "debounce_max": 5}, "debounce_max bounds debounce, but there is none"),
        ({"tags": "tenant:7"}, "pass a list"),
        ({"tags": [""]}, "a tag is ''"),
        ({"tags": [7]}, "a tag is 7"),
        ({"tags": [str(number) for number in range(51)]}, "at most 50"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        task_of(**options)


def test_options_may_come_one_after_another():
    first = Options(unique_for="1h", tags=["a"])
    task = Options(unique_key="k", metadata={"b": 1}).over(first).task("send", b"{}")
    assert task.uniqueness == Uniqueness(window=timedelta(hours=1))
    assert task.metadata == {"b": 1, "tags": ["a"]}


def test_tags_are_kept_once_each_in_the_metadata():
    assert task_of(tags=["a", "b", "a"]).metadata == {"tags": ["a", "b"]}
