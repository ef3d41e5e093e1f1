"""``celers schedule``: what each verb does to the database, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from celers_worker.core.schedule import Source
from celers_worker.store import schedules
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import celers, done, errors
from tests.store import scheduling
from tests.store.scheduling import let_pass, row, schedule, ticks

HOUR = timedelta(hours=1)
ADD = ("schedule", "add", "nightly", "report")


def fire(direct: DirectStore, name: str = "nightly") -> None:
    """Let a worker deal with a tick of it."""
    let_pass(direct, name, HOUR)
    direct.run(schedules.tick, ())


# --- add ---


def test_add_writes_a_schedule_that_fires(direct: DirectStore) -> None:
    rows.worker(direct, "report")
    answer = done(
        *ADD, "kind=full", "days=7", "--cron", "30 2 * * MON-FRI", "--timezone", "Europe/Berlin",
        *("--queue", "reports", "--priority", "5", "--max-retries", "0", "--timeout", "5m"),
        *("--expires", "1h", "--misfire", "all", "--misfire-after", "10m", "--catch-up", "3"),
        *("--overlap", "skip", "--jitter", "2m"),
    )  # fmt: skip
    assert answer.out.startswith("nightly is added. It fires in ")
    assert answer.err == ""
    document = done("schedule", "show", "nightly", "--format", "json").json
    assert document == document | {
        "name": "nightly", "state": "active", "source": "database", "task": "report",
        "cron": "30 2 * * MON-FRI", "every": None, "timezone": "Europe/Berlin",
        "arguments": {"kind": "full", "days": 7}, "queue": "reports", "priority": 5,
        "max_retries": 0, "misfire": "all", "misfire_after": 600.0, "catch_up": 3,
        "overlap": "skip", "jitter": 120.0, "paused_at": None, "problem": None,
    }  # fmt: skip
    assert datetime.fromisoformat(document["next_tick"]) > datetime.now(UTC)
    fire(direct)
    let_pass(direct, "nightly", timedelta(days=8))
    direct.run(schedules.tick, ())
    [task] = rows.live(direct)
    assert (task.task_name, task.queue_name, task.priority, task.timeout) == (
        *("report", "reports", 5, 300.0),
    )


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(direct: DirectStore) -> None:
    done(*ADD, "--every", "1h")
    answer = celers("schedule", "add", "nightly", "other", "--every", "2h")
    assert (answer.code, row(direct).task_name) == (1, "report")
    assert errors(answer)[-1].startswith("there is a schedule 'nightly' already, from the database")
    replaced = done("schedule", "add", "nightly", "other", "--every", "2h", "--replace")
    assert replaced.out.startswith("nightly is replaced.")
    assert (row(direct).task_name, row(direct).interval_seconds) == ("other", 7_200)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_the_application_checks_the_task_and_lends_its_options(
    direct: DirectStore, tasks_file: Path
) -> None:
    done("schedule", "add", "greet", "send_welcome", "to=ada", "--every", "1d")
    document = done("schedule", "show", "greet", "--format", "json").json
    assert (document["queue"], document["priority"], document["max_retries"]) == ("emails", 7, 5)
    wrong = celers("schedule", "add", "greet2", "send_welcome", "--every", "1d")
    assert wrong.code == 2
    assert "missing a required argument: 'to'" in errors(wrong)[0]
    unknown = celers("schedule", "add", "greet2", "send_welcom", "--every", "1d")
    assert errors(unknown) == [
        "the application has no handler 'send_welcom'. Did you mean 'send_welcome'? "
        "Schedule it for another one with --force."
    ]
    done("schedule", "add", "greet2", "send_welcom", "--every", "1d", "--force")


BAD = {
    "no time": ([], 'nothing says when the schedule fires: give cron="0 2 * * *" or every="15m".'),
    "two times": (["--cron", "@daily", "--every", "1h"], "cron and every both say when"),
    "a bad minute": (["--cron", "61 * * * *"], "cron is '61 * * * *': its minute is '61'."),
    "the 31st of February": (["--cron", "0 0 31 2 *"], "which would never fire"),
    "a zone that is none": (
        ["--cron", "@daily", "--timezone", "Europe/Berlim"],
        "timezone is 'Europe/Berlim', which is no IANA time zone that this host knows. "
        "Did you mean 'Europe/Berlin'?",
    ),
    "a zone for an interval": (["--every", "1h", "--timezone", "UTC"], "timezone is for cron"),
    "a bad interval": (["--every", "soon"], "--every is 'soon': write a number with a unit"),
    "a bad policy": (["--every", "1h", "--misfire", "onse"], "misfire is 'onse': write one of"),
    "a bad overlap": (["--every", "1h", "--overlap", "x"], "overlap is 'x': write one of"),
    "bad arguments": (["--every", "1h", "x"], "'x' is no argument: write KEY=VALUE."),
}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_is_told_and_nothing_written(direct: DirectStore, bad: str) -> None:
    arguments, problem = BAD[bad]
    answer = celers(*ADD, *arguments)
    assert answer.code == 2
    assert problem in errors(answer)[0]
    assert row(direct) is None


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_bad_name_says_what_a_schedule_may_be_called(direct: DirectStore) -> None:
    answer = celers("schedule", "add", "a b", "report", "--every", "1h")
    assert answer.code == 2
    assert errors(answer)[0].startswith("'a b' cannot name a schedule: use 1 to 128")


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_task_that_no_worker_has_is_warned_of(direct: DirectStore) -> None:
    rows.worker(direct, "report")
    answer = done("schedule", "add", "nightly", "reprot", "--every", "1h")
    assert "no worker has a handler 'reprot'. Did you mean 'report'?" in answer.err


# --- list, show, history, next ---


def test_list_shows_every_schedule_with_its_state(direct: DirectStore) -> None:
    empty = done("schedule", "list")
    assert (empty.out, empty.err.split(":")[0]) == ("", "No schedules yet")
    assert done("schedule", "list", "--format", "json").json == []

    done(*ADD, "--every", "1h")
    done("schedule", "add", "weekly", "report", "--cron", "@weekly", "--timezone", "Asia/Tokyo")
    direct.run(
        schedules.declare,
        [schedule("mine", source=Source.CODE), schedule("theirs", source=Source.CODE)],
    )
    scheduling.unseen(direct, "theirs", HOUR)
    done("schedule", "pause", "weekly")
    fire(direct)
    head, *lines = done("schedule", "list").lines
    assert head.split() == ["NAME", "STATE", "WHEN", "NEXT", "LAST", "TASK", "FROM"]
    assert [line.split()[:2] for line in lines] == [
        ["mine", "active"],
        ["nightly", "active"],
        ["theirs", "undeclared"],
        ["weekly", "paused"],
    ]
    assert " every 1h " in lines[1]
    assert " @weekly Asia/Tokyo " in lines[3]
    documents = done("schedule", "list", "--format", "json").json
    assert [one["source"] for one in documents] == ["code", "database", "code", "database"]
    assert [one["next_tick"] is None for one in documents] == [False, False, True, True]
    assert documents[1]["last_tick"] is not None


def test_show_tells_everything(direct: DirectStore) -> None:
    done(*ADD, "kind=full", "--cron", "@daily", "--overlap", "queue", "--jitter", "5m")
    out = done("schedule", "show", "nightly").out
    for text in ("@daily", '{"kind":"full"}', "once after 1m, at most 100", "queue", "5m"):
        assert text in out


def test_history_tells_what_became_of_ticks_and_of_their_tasks(direct: DirectStore) -> None:
    done(*ADD, "--every", "1h", "--misfire", "all")
    quiet = done("schedule", "history", "nightly")
    assert (quiet.out, quiet.err.split(".")[0]) == ("", "nightly has not fired yet")
    let_pass(direct, "nightly", 3 * HOUR)
    direct.run(schedules.tick, ())
    documents = done("schedule", "history", "nightly", "--format", "json", "-l", "2").json
    assert [one["outcome"] for one in documents] == ["fired", "fired"]
    assert documents[0]["tick"] > documents[1]["tick"]
    assert {one["task_id"] for one in documents} <= {str(one.id) for one in rows.live(direct)}
    assert documents[0]["state"] == "pending"
    head, *lines = done("schedule", "history", "nightly").lines
    assert head.split()[:2] == ["TICK", "OUTCOME"]
    assert len(lines) == 3


def test_next_previews_a_schedule(direct: DirectStore) -> None:
    done(*ADD, "--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    found = done("schedule", "next", "nightly", "-n", "3").lines
    assert len(found) == 3
    assert all(" 02:30:00 +0" in line for line in found)
    found = done("schedule", "next", "nightly", "--format", "json").json
    assert len(found) == 5
    done("schedule", "pause", "nightly")
    paused = done("schedule", "next", "nightly")
    assert paused.err == "Note: nightly is paused, so it does not fire.\n"


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_next_previews_an_expression_without_a_database(migrated_url: str) -> None:
    lines = done("schedule", "next", "--cron", "0 9 * * MON#1", "-n", "2").lines
    assert all(line.startswith("Mon ") and " 09:00:00 +0000" in line for line in lines)
    assert len(done("schedule", "next", "--every", "7m", "--format", "json").json) == 5
    both = celers("schedule", "next", "nightly", "--cron", "@daily")
    assert errors(both) == ["NAME says when it fires: give --cron or --every without it."]
    assert celers("schedule", "next").code == 2


# --- pause, resume, trigger, remove ---


def test_pause_and_resume_are_written_and_told(direct: DirectStore) -> None:
    done(*ADD, "--every", "1h")
    paused = done("schedule", "pause", "nightly", "--reason", "the relay is down")
    assert paused.out == "nightly is paused. Go on with: celers schedule resume nightly\n"
    assert row(direct).paused_reason.endswith(": the relay is down")
    fire(direct)
    assert rows.live(direct) == []
    assert done("schedule", "resume", "nightly").out.startswith("nightly is resumed. It fires in ")
    assert row(direct).paused_at is None
    assert done("schedule", "resume", "nightly").out.startswith("nightly was not paused.")
    fire(direct)
    assert len(rows.live(direct)) == 1


def test_trigger_enqueues_the_task_now(direct: DirectStore) -> None:
    done(*ADD, "kind=full", "--every", "1h", "--queue", "reports", "--jitter", "1h")
    done("schedule", "pause", "nightly")
    ids = [done("schedule", "trigger", "nightly").out.strip() for _ in range(2)]
    found = rows.live(direct)
    assert [str(one.id) for one in found] == ids
    assert {(one.queue_name, bytes(one.payload)) for one in found} == {
        ("reports", b'{"kind":"full"}')
    }
    assert all(one.scheduled_at <= one.created_at for one in found)
    assert [one.outcome for one in ticks(direct)] == ["triggered", "triggered"]


def test_remove_asks_and_keeps_what_was(direct: DirectStore) -> None:
    done(*ADD, "--every", "1h")
    fire(direct)
    assert done("schedule", "remove", "nightly", "--dry-run").out == (
        "would remove nightly, which enqueues report.\n"
    )
    answer = celers("schedule", "remove", "nightly")
    assert (answer.code, row(direct) is None) == (2, False)
    assert done("schedule", "remove", "nightly", "--yes").out == "nightly is removed.\n"
    assert row(direct) is None
    assert (len(rows.live(direct)), len(ticks(direct))) == (1, 1)


def test_what_a_worker_declares_is_not_removed_behind_its_back(direct: DirectStore) -> None:
    direct.run(schedules.declare, [schedule(source=Source.CODE)])
    answer = celers("schedule", "remove", "nightly", "--yes")
    assert (answer.code, row(direct) is None) == (1, False)
    assert errors(answer) == [
        "the schedule 'nightly' is declared by the code of a worker, which would add it again. "
        "Remove it there, or pause it: celers schedule pause nightly"
    ]
    scheduling.unseen(direct, "nightly", HOUR)
    done("schedule", "remove", "nightly", "--yes")
    assert row(direct) is None


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "verb", ["show", "pause", "resume", "trigger", "history", "next", "remove"]
)
def test_a_name_that_nobody_knows_gets_the_nearest(direct: DirectStore, verb: str) -> None:
    done(*ADD, "--every", "1h")
    answer = celers("schedule", verb, "nigthly")
    assert answer.code == 1
    assert errors(answer) == [
        "there is no schedule 'nigthly'. Did you mean 'nightly'? See: celers schedule list"
    ]


# --- check ---

SCHEDULED = """\
from celers_worker import Celers

app = Celers()


@app.task(schedule="0 2 * * *", timezone="Europe/Berlin")
def clean(): ...


@app.task()
def report(kind): ...


app.schedule("weekly", report, cron="@weekly", arguments={"kind": "full"})
"""


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_check_shows_the_schedules_of_code_and_configuration(
    migrated_url: str, workplace: Path
) -> None:
    (workplace / "tasks.py").write_text(SCHEDULED)
    (workplace / "celers.toml").write_text(
        '[schedules.clean]\ncron = "0 3 * * *"\n[schedules.hourly]\ntask = "reprot"\nevery = "1h"\n'
    )
    answer = done("check")
    lines = [" ".join(line.split()) for line in answer.lines]
    assert "clean 0 3 * * * Europe/Berlin clean default once allow configuration" in lines
    assert "weekly @weekly report default once allow code" in lines
    assert errors(answer)[0] == (
        "celers: warning: the schedule 'hourly' enqueues 'reprot', which no handler has. "
        "Did you mean 'report'?"
    )
    documents = done("check", "--format", "json").json["schedules"]
    assert [one["name"] for one in documents] == ["clean", "hourly", "weekly"]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_check_tells_every_problem_of_schedules(migrated_url: str, workplace: Path) -> None:
    (workplace / "tasks.py").write_text(SCHEDULED)
    (workplace / "celers.toml").write_text(
        '[schedules.cleen]\nqueue = "a"\n[schedules.weekly]\narguments = { mode = 1 }\n'
    )
    answer = celers("check")
    assert answer.code == 2
    assert [line for line in errors(answer) if "warning" not in line] == [
        "[schedules.weekly]: the schedule 'weekly' cannot call its task: report(kind): "
        "missing a required argument: 'kind'.",
        "[schedules.cleen]: set cron or every, for the code declares no schedule 'cleen'. "
        "Did you mean 'clean'?",
    ]
