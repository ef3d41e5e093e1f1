"""What a schedule may be: names, options, arguments, policies."""

from __future__ import annotations

import pytest

from celers_worker import Celers, Options
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.names import check_schedule_name
from celers_worker.core.policies import Misfire, Overlap, Policies, policies_of
from celers_worker.core.schedule import make_schedule
from celers_worker.core.timing import timing_of

HOURLY = timing_of(cron="@hourly", every=None)


@pytest.fixture
def handler():
    app = Celers()

    @app.task(queue="reports", priority=3, max_retries=1)
    async def report(kind: str, *, deep: bool = False) -> None: ...

    return report.handler


def test_options_that_are_not_given_are_those_of_the_handler(handler):
    made = make_schedule("nightly", "report", HOURLY, arguments={"kind": "a"}, handler=handler)
    assert (made.options.queue, made.options.priority, made.options.max_retries) == (
        "reports",
        3,
        1,
    )
    mine = make_schedule(
        "nightly",
        "report",
        HOURLY,
        arguments={"kind": "a"},
        options=Options(priority=9),
        handler=handler,
    )
    assert (mine.options.queue, mine.options.priority) == ("reports", 9)
    assert mine.payload == b'{"kind":"a"}'


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "the schedule 'nightly' cannot call its task: report.*missing a required argument"),
        ({"kind": "a", "mode": 1}, "unexpected keyword argument 'mode'"),
    ],
)
def test_arguments_that_the_handler_cannot_take_are_refused(handler, arguments, problem):
    with pytest.raises(ConfigurationError, match=problem):
        make_schedule("nightly", "report", HOURLY, arguments=arguments, handler=handler)


def test_arguments_that_are_no_json_are_refused():
    with pytest.raises(PayloadError, match=r"args\.kind is a set"):
        make_schedule("nightly", "report", HOURLY, arguments={"kind": {1}})


@pytest.mark.parametrize(
    ("options", "instead"),
    [({"delay": "5m"}, "jitter"), ({"unique_key": "a"}, "overlap")],
)
def test_options_that_make_no_sense_for_a_schedule_say_what_does(options, instead):
    with pytest.raises(ConfigurationError, match=f"cannot have the option .*: see {instead}"):
        make_schedule("nightly", "report", HOURLY, options=Options(**options))


def test_policies_are_words_and_durations():
    made = policies_of(misfire="all", misfire_after="10m", catch_up=7, overlap="queue", jitter=30)
    assert (made.misfire, made.overlap, made.catch_up) == (Misfire.ALL, Overlap.QUEUE, 7)
    assert (made.misfire_after.total_seconds(), made.jitter.total_seconds()) == (600, 30)
    assert policies_of() == Policies()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"misfire": "onse"},
            "misfire is 'onse': write one of skip, once, all. Did you mean 'once'",
        ),
        ({"overlap": "never"}, "overlap is 'never': write one of allow, skip, queue"),
        ({"catch_up": 0}, "catch_up is 0: it must lie between 1 and 1000"),
        ({"catch_up": True}, "catch_up is True"),
        ({"catch_up": 1_001}, "catch_up is 1001"),
        ({"jitter": "a bit"}, "jitter is 'a bit': write a number with a unit"),
        ({"misfire_after": -1}, "misfire_after is -1: it must lie between"),
    ],
)
def test_policies_that_are_none_are_refused(given, problem):
    with pytest.raises(ConfigurationError, match=problem):
        policies_of(**given)


@pytest.mark.parametrize(
    "name", ["nightly", "digest:42", "2nd-try", "shop.tasks.report", "a" * 128]
)
def test_a_name(name):
    assert check_schedule_name(name) == name


@pytest.mark.parametrize("name", ["", " a", "a b", "-a", "a" * 129, "é", None, "a\n"])
def test_no_name(name):
    with pytest.raises(ConfigurationError, match="cannot name a schedule"):
        check_schedule_name(name)
