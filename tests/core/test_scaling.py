from __future__ import annotations

import math

from celers_worker.core.scaling import MeanTimes, desired_workers, drain_seconds


def times(**means: float) -> MeanTimes:
    found = MeanTimes()
    for queue, mean in means.items():
        found.update(queue, 10 * mean, 10)
    return found


def test_a_mean_follows_what_tasks_took_lately() -> None:
    means = MeanTimes()
    assert means.of("a") is None
    means.update("a", 10.0, 10)
    assert means.of("a") == 1.0
    means.update("a", 10.0, 10)  # nothing has run
    assert means.of("a") == 1.0
    means.update("a", 40.0, 20)  # ten that took 3 s each
    assert means.of("a") == 1.6
    assert means.of("new") == 1.6, "of one that is unknown the others are the best guess"


def test_what_is_due_takes_as_long_as_its_tasks_take_side_by_side() -> None:
    pending = {"a": 100, "b": 0, "c": 10}
    assert drain_seconds(pending, times(a=2.0, c=4.0), room=20) == {"a": 10.0, "b": 0.0, "c": 2.0}
    assert drain_seconds({"a": 1}, times(a=2.0), room=0) == {"a": math.inf}
    assert drain_seconds({"a": 1}, MeanTimes(), room=5) == {}


def desired(pending: dict[str, int], means: MeanTimes, processing: int = 0) -> int | None:
    return desired_workers(pending, means, processing=processing, per_worker=10, target=60)


def test_as_many_workers_are_wanted_as_do_it_in_time() -> None:
    assert desired({"a": 0}, times(a=1.0)) == 0
    assert desired({"a": 1}, times(a=1.0)) == 1
    assert desired({"a": 1_200}, times(a=1.0)) == 2
    assert desired({"a": 1_201}, times(a=1.0)) == 3
    assert desired({"a": 1_200, "b": 60}, times(a=1.0, b=10.0)) == 3


def test_what_runs_keeps_its_room() -> None:
    assert desired({}, MeanTimes(), processing=25) == 3
    assert desired({"a": 600}, times(a=1.0), processing=25) == 4


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert desired({"a": 5}, MeanTimes()) is None
