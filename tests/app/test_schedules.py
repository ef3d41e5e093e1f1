"""Schedules in an application: declared in its code, or added while it runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import decode

from celers_worker import Celers, Options
from celers_worker.config import Config, load_config
from celers_worker.core.cron import Cron
from celers_worker.core.errors import CelersError, ConfigurationError, ScheduleNotFound
from celers_worker.core.policies import Misfire, Overlap
from celers_worker.core.schedule import Schedule, Source
from celers_worker.core.timing import Every
from celers_worker.store.direct import DirectStore
from tests.store.scheduling import row


def configured(text: str, folder: Path) -> Config:
    file = folder / "celers.toml"
    file.write_text(text)
    return load_config(file=file, environment={}).config


def effective(app: Celers, config: Config | None = None) -> dict[str, Schedule]:
    """What a worker would declare, by name."""
    return {one.name: one for one in app.schedules.effective(config or Config())}


@pytest.fixture
def plain() -> Celers:
    """An application that opens no database."""
    app = Celers()
    app.client.config = Config()

    @app.task(queue="reports", priority=3)
    def report(kind: str = "full") -> None: ...

    return app


# --- in the code ---


def test_a_task_declares_its_own_schedule(plain: Celers) -> None:
    @plain.task(schedule="*/5 * * * *", timezone="Europe/Berlin", queue="mail")
    def poll() -> None: ...

    @plain.task(every="10m")
    async def beat() -> None: ...

    found = effective(plain)
    assert found["poll"].timing == Cron("*/5 * * * *", "Europe/Berlin")
    assert found["beat"].timing == Every(timedelta(minutes=10))
    assert (found["poll"].task, found["poll"].options.queue) == ("poll", "mail")
    assert found["poll"].source is Source.CODE
    assert poll() is None  # it stays a function


def test_an_application_declares_schedules_with_arguments_and_policies(plain: Celers) -> None:
    @plain.task(queue="mail")
    def send(user: int, *, again: bool = False) -> None: ...

    plain.schedule(
        "digest", send.with_(priority=7), cron="@weekly", arguments={"user": 1},
        options=Options(timeout="5m"), misfire="all", catch_up=3, overlap="skip", jitter="2m",
        misfire_after="1h",
    )  # fmt: skip
    plain.schedule("by-name", "somewhere.else", every="1h")
    found = effective(plain)
    digest = found["digest"]
    assert (digest.options.queue, digest.options.priority) == ("mail", 7)
    assert digest.options.timeout == timedelta(minutes=5)
    assert decode(digest.payload) == {"user": 1}
    policies = digest.policies
    assert (policies.misfire, policies.overlap, policies.catch_up) == (Misfire.ALL, Overlap.SKIP, 3)
    assert (policies.jitter, policies.misfire_after) == (timedelta(minutes=2), timedelta(hours=1))
    assert found["by-name"].task == "somewhere.else"


def _declared(**terms: Any) -> Any:
    return lambda app: app.schedule("nightly", "report", **terms)


BAD: dict[str, tuple[Any, str]] = {
    "a bad expression": (_declared(cron="61 * * * *"), "its minute is '61'"),
    "an interval of nothing": (_declared(every=0), "at least 1s"),
    "no time": (_declared(), "nothing says when"),
    "a zone without a clock": (_declared(every="1h", timezone="UTC"), "timezone is for cron"),
    "a term that is none": (
        _declared(every="1h", overlapp="skip"),
        "a schedule has no 'overlapp'. Did you mean 'overlap'",
    ),
    "arguments that do not fit": (
        _declared(every="1h", arguments={"sort": "full"}),
        "the schedule 'nightly' cannot call its task.*unexpected keyword argument 'sort'",
    ),
    "an option that makes no sense": (
        _declared(every="1h", options=Options(unique_key="a")),
        "cannot have the option unique_key: see overlap",
    ),
    "a bad name": (lambda app: app.schedule("a b", "report", every="1h"), "cannot name a schedule"),
    "a bad task": (lambda app: app.schedule("a", "no task", every="1h"), "cannot name a task"),
    "a zone for no schedule": (
        lambda app: app.task(timezone="UTC")(lambda: None),
        "cannot name a task",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_is_told_where_it_is_declared(plain: Celers, bad: str) -> None:
    declare, problem = BAD[bad]
    with pytest.raises(ConfigurationError, match=problem):
        declare(plain)
    assert plain.schedules.declared == {}


def test_a_time_zone_without_a_schedule_is_a_mistake(plain: Celers) -> None:
    with pytest.raises(ConfigurationError, match="nothing says when the schedule fires"):

        @plain.task(timezone="UTC")
        def lost() -> None: ...


def test_a_task_that_needs_arguments_cannot_have_a_schedule_without_them(plain: Celers) -> None:
    with pytest.raises(ConfigurationError, match="missing a required argument: 'user'"):

        @plain.task(every="1h")
        def send(user: int) -> None: ...


def test_two_schedules_cannot_have_one_name(plain: Celers) -> None:
    plain.schedule("nightly", "report", every="1h")
    with pytest.raises(ConfigurationError, match="two schedules are called 'nightly'"):
        plain.schedule("nightly", "report", every="2h")


# --- in the configuration ---


def test_the_configuration_adds_schedules(plain: Celers, tmp_path: Path) -> None:
    config = configured(
        """
        [schedules.nightly]
        task = "report"
        cron = "30 2 * * *"
        timezone = "Europe/Berlin"
        arguments = { kind = "short" }
        queue = "night"
        misfire = "Skip"
        jitter = "5m"

        [schedules.report]
        every = 3600
        """,
        tmp_path,
    )
    found = effective(plain, config)
    nightly = found["nightly"]
    assert nightly.timing == Cron("30 2 * * *", "Europe/Berlin")
    assert decode(nightly.payload) == {"kind": "short"}
    assert (nightly.options.queue, nightly.options.priority) == ("night", 3)
    assert (nightly.policies.misfire, nightly.source) == (Misfire.SKIP, Source.CONFIGURATION)
    assert (found["report"].task, found["report"].timing) == ("report", Every(timedelta(hours=1)))


def test_the_configuration_goes_before_the_code_key_by_key(plain: Celers, tmp_path: Path) -> None:
    plain.schedule(
        "nightly", "report", cron="@daily", timezone="Asia/Tokyo", arguments={"kind": "a"},
        overlap="skip", catch_up=7,
    )  # fmt: skip
    plain.schedule("unwanted", "report", every="1h")
    config = configured(
        """
        [schedules.nightly]
        cron = "0 5 * * *"
        catch_up = 9
        [schedules.unwanted]
        enabled = false
        """,
        tmp_path,
    )
    found = effective(plain, config)
    assert list(found) == ["nightly"]
    nightly = found["nightly"]
    assert nightly.timing == Cron("0 5 * * *", "Asia/Tokyo")
    assert (nightly.policies.overlap, nightly.policies.catch_up) == (Overlap.SKIP, 9)
    assert decode(nightly.payload) == {"kind": "a"}

    moved = configured('[schedules.nightly]\ntimezone = "UTC"', tmp_path)
    assert effective(plain, moved)["nightly"].timing == Cron("@daily", "UTC")
    often = configured('[schedules.nightly]\nevery = "5m"', tmp_path)
    assert effective(plain, often)["nightly"].timing == Every(timedelta(minutes=5))


def test_every_problem_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(
            """
            [schedules."a b"]
            cron = "@daily"
            [schedules.one]
            cron = "61 * * * *"
            timezone = "Europe/Berlim"
            every = "1ms"
            misfire = "onse"
            arguments = 5
            catch_up = 0
            enabled = "yes"
            queue = "a b"
            evry = "5m"
            """,
            tmp_path,
        )
    problems = [problem.partition(": ")[2] for problem in caught.value.problems]
    assert [problem[:47] for problem in problems] == [
        "'a b' cannot name a schedule: use 1 to 128 ASCI",
        "schedules.one.cron is '61 * * * *': its minute ",
        "schedules.one.timezone is 'Europe/Berlim', whic",
        "schedules.one.every is 1ms: it must be a whole ",
        "schedules.one.misfire is 'onse': write one of s",
        "schedules.one.arguments is 5: write a table, su",
        "schedules.one.catch_up is 0: write a whole numb",
        "schedules.one.enabled is 'yes': write true or f",
        "schedules.one.queue: 'a b' cannot name a queue:",
        "unknown key 'evry' in [schedules.one]. Did you ",
    ]
    assert all(problem.startswith(str(tmp_path)) for problem in caught.value.problems)


def test_problems_between_code_and_configuration_are_told_at_once(
    plain: Celers, tmp_path: Path
) -> None:
    plain.schedule("nightly", "report", every="1h")
    config = configured(
        """
        [schedules.nigthly]
        queue = "a"
        [schedules.nightly]
        timezone = "UTC"
        [schedules.both]
        cron = "@daily"
        every = "1h"
        [schedules.report]
        every = "1h"
        arguments = { sort = 1 }
        """,
        tmp_path,
    )
    with pytest.raises(ConfigurationError) as caught:
        plain.schedules.effective(config)
    assert [problem[:60] for problem in caught.value.problems] == [
        "[schedules.nightly]: timezone is for cron; an interval has n",
        "[schedules.nigthly]: set cron or every, for the code declare",
        "[schedules.both]: cron and every both say when the schedule ",
        "[schedules.report]: the schedule 'report' cannot call its ta",
    ]
    assert "Did you mean 'nightly'?" in caught.value.problems[1]


# --- in the database ---


async def test_a_schedule_can_be_added_and_removed_while_the_application_runs(
    app: Celers, direct: DirectStore
) -> None:
    @app.task(queue="mail")
    async def send_digest(user: int) -> None: ...

    terms: Any = {"cron": "0 8 * * *", "timezone": "Europe/Berlin", "arguments": {"user": 42}}
    assert await app.schedules.add("digest:42", send_digest, **terms)
    found = row(direct, "digest:42")
    assert (found.source, found.task_name, found.options["queue"]) == (
        *("database", "send_digest", "mail"),
    )
    with pytest.raises(CelersError, match="there is a schedule 'digest:42' already"):
        await app.schedules.add("digest:42", send_digest, every="1h", arguments={"user": 42})
    assert not app.schedules.add_sync(
        "digest:42", send_digest, replace=True, every="1h", arguments={"user": 42}
    )
    assert row(direct, "digest:42").interval_seconds == 3_600
    await app.schedules.remove("digest:42")
    assert row(direct, "digest:42") is None
    with pytest.raises(ScheduleNotFound, match="there is no schedule 'digest:42'"):
        app.schedules.remove_sync("digest:42")


async def test_what_is_wrong_is_refused_before_anything_is_written(
    app: Celers, direct: DirectStore
) -> None:
    @app.task()
    async def send_digest(user: int) -> None: ...

    with pytest.raises(ConfigurationError, match="missing a required argument: 'user'"):
        await app.schedules.add("digest:42", send_digest, every="1h")
    with pytest.raises(ConfigurationError, match="would never fire"):
        await app.schedules.add("a", "b", cron="0 0 31 2 *")
    assert row(direct, "digest:42") is row(direct, "a") is None
