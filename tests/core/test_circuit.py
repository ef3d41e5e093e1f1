from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.core.circuit import Breaker, Circuit, check_circuit, circuit, verdict
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.outcome import (
    Cancelled,
    Completed,
    Dead,
    Expired,
    Failure,
    Outcome,
    Release,
    Retry,
    Settlement,
    used_up,
)
from tests.services.desk import a_task

FAILURE = Failure("ValueError", "no")
LAST = a_task(retry_count=3, max_retries=3)


def breaker(failures: int = 3, rate: float = 0.5, window: float = 60.0) -> Breaker:
    return Breaker(Circuit(failures, rate, timedelta(seconds=window), timedelta(seconds=30)))


def opens(one: Breaker, runs: str, *, apart: float = 0.0) -> list[bool]:
    """Count *runs*, ``.`` for one that completes and ``x`` for one that fails."""
    return [one.count(well=run == ".", at=place * apart) for place, run in enumerate(runs)]


def test_it_opens_with_the_failure_that_is_one_too_many() -> None:
    assert opens(breaker(), "xxx") == [False, False, True]


def test_failures_must_also_be_their_share_of_the_runs() -> None:
    assert opens(breaker(), "....xxx")[-1] is False
    assert opens(breaker(), "....xxxx")[-1] is True


def test_failures_before_the_window_do_not_count() -> None:
    assert not any(opens(breaker(window=60), "xxxx", apart=40.0))
    assert any(opens(breaker(window=60), "xxxx", apart=10.0))


def test_a_run_that_completes_opens_nothing() -> None:
    one = breaker()
    one.count(well=False, at=0)
    one.count(well=False, at=0)
    assert not one.count(well=True, at=0)


def test_a_reset_forgets() -> None:
    one = breaker()
    opens(one, "xx")
    one.reset()
    assert opens(one, "xx") == [False, False]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=80))
def test_it_never_opens_without_its_failures_and_keeps_a_bounded_count(
    runs: list[tuple[bool, float]],
) -> None:
    one = breaker(failures=5)
    now, failures = 0.0, 0
    for well, later in runs:
        now += later
        failures += not well
        opened = one.count(well=well, at=now)
        assert not opened or failures >= 5
        assert len(one._parts) <= 11


@pytest.mark.parametrize(
    ("task", "outcome", "expected"),
    [
        (a_task(), Completed(), True),
        (a_task(), Retry(timedelta(0), FAILURE), False),
        (LAST, Dead(used_up(LAST), FAILURE), False),
        (a_task(), Dead("the handler says so", FAILURE), None),
        (a_task(), Dead("ValueError is not retried", FAILURE), None),
        (a_task(), Release(timedelta(0)), None),
        (a_task(), Cancelled("no longer wanted"), None),
        (a_task(), Expired(), None),
    ],
)
def test_only_runs_that_speak_for_the_handler_count(
    task: object, outcome: Outcome, expected: bool | None
) -> None:
    assert verdict(Settlement(task, outcome)) is expected  # type: ignore[arg-type]  # a Task


def test_a_number_is_a_circuit_with_the_usual_rest() -> None:
    assert check_circuit(7) == circuit(7)
    assert check_circuit(None) is None
    assert str(circuit(3, window="10s", rest="5s")) == "3 in 10s, rest 5s"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"failures": 0}, "failures is 0"),
        ({"failures": True}, "failures is True"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": 1.5}, "rate is 1.5"),
        ({"window": 0}, "window is 0"),
        ({"rest": "0s"}, "rest is 0"),
        ({"rest": "soon"}, "rest is 'soon'"),
    ],
)
def test_a_circuit_that_cannot_be_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        circuit(**wrong)  # type: ignore[arg-type]  # they are wrong


@pytest.mark.parametrize("wrong", ["5/1m", True, 2.5])
def test_what_is_no_circuit_is_refused_with_what_to_write(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=r"celers_worker\.circuit"):
        check_circuit(wrong)
