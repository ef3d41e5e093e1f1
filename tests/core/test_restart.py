"""What follows the end of a worker process."""

from datetime import timedelta

import pytest

from celers_worker.core.restart import Exit, Finished, GiveUp, Replace, Restarts, Verdict

FOREVER = Restarts(ends_by_itself=False, hopeless=frozenset({2}))
DRAINS = Restarts(ends_by_itself=True, hopeless=frozenset({2}))


def an_exit(code: int, *, lived: float = 5, worked: bool = True) -> Exit:
    return Exit(4711, code, timedelta(seconds=lived), worked)


def verdict(
    ended: Exit,
    *,
    restarts: Restarts = FOREVER,
    deaths: int = 0,
    stopping: bool = False,
    alone: bool = False,
) -> Verdict:
    return restarts.verdict(ended, deaths=deaths, stopping=stopping, alone=alone)


def pauses(count: int) -> list[float]:
    found, deaths = [], 0
    for _ in range(count):
        replaced = verdict(an_exit(-9), deaths=deaths)
        assert isinstance(replaced, Replace)
        found.append(replaced.pause.total_seconds())
        deaths = replaced.deaths
    return found


@pytest.mark.parametrize("code", [0, 1, 2, 70, -9, -15])
def test_one_that_ends_unasked_is_replaced_however_it_ended(code: int) -> None:
    assert verdict(an_exit(code)) == Replace(timedelta(seconds=1), 1)


def test_those_that_die_young_are_replaced_ever_later_but_never_later_than_in_half_a_minute() -> (
    None
):
    assert pauses(8) == [1, 2, 4, 8, 16, 30, 30, 30]
    assert verdict(an_exit(1), deaths=10_000) == Replace(timedelta(seconds=30), 10_001)


def test_one_that_has_worked_for_a_minute_is_replaced_at_once_and_the_next_soon() -> None:
    replaced = verdict(an_exit(-9, lived=60), deaths=7)

    assert replaced == Replace(timedelta(0), 0)
    assert verdict(an_exit(-9), deaths=replaced.deaths) == Replace(timedelta(seconds=1), 1)


@pytest.mark.parametrize("code", [0, -15, -2])
def test_one_that_was_told_to_end_has_finished(code: int) -> None:
    assert verdict(an_exit(code, worked=False), stopping=True) == Finished(well=True)


@pytest.mark.parametrize("code", [1, -9, -11])
def test_one_that_was_told_to_end_and_crashed_has_not_finished_well(code: int) -> None:
    assert verdict(an_exit(code), stopping=True) == Finished(well=False)


def test_one_that_drains_has_finished_when_it_ends_well_and_is_replaced_when_it_dies() -> None:
    assert verdict(an_exit(0), restarts=DRAINS) == Finished(well=True)
    assert verdict(an_exit(-9), restarts=DRAINS) == Replace(timedelta(seconds=1), 1)


def test_a_refusal_to_start_ends_everything_where_nobody_works() -> None:
    assert verdict(an_exit(2, worked=False), alone=True) == GiveUp(2)
    assert verdict(an_exit(2, worked=False), restarts=DRAINS, alone=True) == GiveUp(2)


@pytest.mark.parametrize(
    ("ended", "alone"),
    [
        (an_exit(2, worked=False), False),  # the others work
        (an_exit(2, worked=True), True),  # it did work: this is something else
        (an_exit(1, worked=False), True),  # it may go better the next time
    ],
)
def test_whatever_is_no_refusal_is_tried_again(ended: Exit, alone: bool) -> None:
    assert isinstance(verdict(ended, alone=alone), Replace)


def test_an_end_is_told_by_its_status_or_its_signal() -> None:
    assert an_exit(70).how == "status 70"
    assert an_exit(-9).how == "SIGKILL"
    assert an_exit(-99).how == "signal 99"
    assert Exit(0, -1, timedelta(0), worked=False, error="no memory").how == "no memory"


def test_a_process_that_an_operator_ended_has_no_successor() -> None:
    for code, well in ((0, True), (1, False)):
        ended = Exit(1, code, timedelta(hours=1), worked=True, leaving=True)
        assert verdict(ended) == Finished(well=well)
