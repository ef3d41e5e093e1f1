"""``celers enqueue NAME --stdin``: a task for each line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from celers_worker.core.payload import decode
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import PROGRAM, Terminal, celers, done, environment, errors
from tests.waiting import eventually_sync

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def lines(count: int) -> str:
    return "".join(f'{{"n": {number}}}\n' for number in range(count))


def test_each_line_is_a_task_and_their_ids_are_printed_in_order(direct: DirectStore) -> None:
    answer = done("enqueue", "send", "--stdin", "to=ada", stdin=f"{lines(2_500)}\n\n")

    live = rows.live(direct)
    assert answer.lines == [str(row.id) for row in live]
    assert [decode(row.payload) for row in live[:2]] == [
        {"n": 0, "to": "ada"},
        {"n": 1, "to": "ada"},
    ]
    assert answer.err == "added 2,500 tasks.\n"


@on_sqlite
def test_a_summary_for_programs(direct: DirectStore) -> None:
    options = ("--unique-key", "k", "--format", "json")
    answer = done("enqueue", "send", "--stdin", *options, stdin=lines(3))
    assert answer.json == {"lines": 3, "added": 1, "existing": 2}
    assert done("enqueue", "send", *options).json["existing"] is True


@on_sqlite
def test_records_have_options_of_their_own_before_those_of_the_command_line(
    direct: DirectStore,
) -> None:
    records = (
        '{"arguments": {"n": 1}, "queue": "emails", "delay": "5m", "tags": ["a"]}\n'
        '{"at": "2031-05-06T08:00:00+02:00", "unique_key": "k", "on_conflict": "replace"}\n'
        '{"arguments": {"n": 3}}\n'
    )
    done("enqueue", "send", "--stdin", "--records", "--queue", "others", stdin=records)

    first, second, third = rows.live(direct)
    assert (first.queue_name, first.metadata) == ("emails", {"tags": ["a"]})
    assert decode(first.payload) == {"n": 1}
    assert (second.queue_name, second.unique_key) == ("others", "k")
    assert second.scheduled_at.isoformat() == "2031-05-06T06:00:00+00:00"
    assert decode(second.payload) == {}
    assert (third.queue_name, decode(third.payload)) == ("others", {"n": 3})


@on_sqlite
def test_bad_lines_are_all_told_by_number_and_their_thousand_is_not_written(
    direct: DirectStore,
) -> None:
    bad = lines(1_000) + '{"n": 1}\n{\n7\n\n{"n": NaN}\n'
    answer = celers("enqueue", "send", "--stdin", stdin=bad)

    assert answer.code == 2
    told = errors(answer)
    assert [one.split(":")[0] for one in told[:3]] == ["line 1,002", "line 1,003", "line 1,005"]
    assert "one JSON object a line" in told[0]
    assert told[-1] == (
        "lines 1,001 to 1,005 go together, so none was added. added 1,000 tasks of the lines "
        "before."
    )
    assert len(rows.live(direct)) == 1_000


@on_sqlite
def test_a_great_many_bad_lines_are_told_shortly(direct: DirectStore) -> None:
    told = errors(celers("enqueue", "send", "--stdin", stdin="x\n" * 500))
    assert len(told) == 22
    assert told[-2] == "and 480 more bad lines."
    assert told[-1].endswith("Nothing was added before.")


@on_sqlite
@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"queu": "a"}', "a record has no 'queu'. Did you mean 'queue'?"),
        ('{"arguments": [1]}', '"arguments" must be an object.'),
        ('{"metadata": 7}', '"metadata" must be an object.'),
        ('{"delay": "soon"}', "delay is 'soon'"),
        ('{"at": "tomorrow"}', "write an instant such as"),
        ('{"priority": "high"}', "priority is 'high'"),
    ],
)
def test_a_bad_record_is_told(direct: DirectStore, record: str, message: str) -> None:
    answer = celers("enqueue", "send", "--stdin", "--records", stdin=record)
    assert answer.code == 2
    assert errors(answer)[0].startswith("line 1: ")
    assert message in errors(answer)[0]
    assert rows.live(direct) == []


@on_sqlite
def test_the_handler_checks_each_line(direct: DirectStore, tasks_file: Path) -> None:
    stdin = '{"to": "ada"}\n{"too": "bob"}\n'
    answer = celers("enqueue", "send_welcome", "--stdin", stdin=stdin)
    assert answer.code == 2
    assert errors(answer)[0].startswith("line 2: send_welcome")
    assert rows.live(direct) == []


@on_sqlite
def test_options_that_do_not_go_together_are_refused(direct: DirectStore) -> None:
    assert "choose one" in celers("enqueue", "send", "--stdin", "--json", "{}", stdin="").err
    assert "give that too" in celers("enqueue", "send", "--records").err


@on_sqlite
def test_a_stream_that_pauses_gets_written_what_it_has_brought(direct: DirectStore) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "enqueue", "send", "--stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write('{"n": 1}\n')
        process.stdin.flush()
        eventually_sync(lambda: len(rows.live(direct)) == 1, within=30)
        out, err = process.communicate('{"n": 2}\n', timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "added 2 tasks.\n")
    assert len(out.split()) == 2


@on_sqlite
def test_ctrl_c_says_what_was_added(direct: DirectStore) -> None:
    with Terminal("enqueue", "send", "--stdin") as terminal:
        terminal.type('{"n": 1}\n')
        eventually_sync(lambda: len(rows.live(direct)) == 1, within=30)
        terminal.interrupt()
        terminal.expect("added 1 task, up to line 1; what comes after was not read.")
        assert terminal.end() == 130


@on_sqlite
def test_a_full_queue_and_a_taken_key_are_failures_that_say_what_to_do(
    direct: DirectStore, workplace: Path
) -> None:
    (workplace / "celers.toml").write_text("[queues.default]\ncapacity = 2\n")
    done("enqueue", "send", "--unique-key", "k")
    taken = celers("enqueue", "send", "--unique-key", "k", "--on-conflict", "raise")
    assert (taken.code, "is taken by task" in taken.err) == (1, True)
    full = celers("enqueue", "send", "--stdin", stdin=lines(2))
    assert full.code == 1
    assert "the queue 'default' is full: 1 tasks wait and its capacity is 2" in full.err
    assert len(rows.live(direct)) == 1


@on_sqlite
def test_tags_are_given_and_tasks_found_and_cancelled_by_them(direct: DirectStore) -> None:
    done("enqueue", "send", "--tag", "tenant:7", "--tag", "b")
    done("enqueue", "send", "--tag", "tenant:8", "--fingerprint", "f")
    assert len(done("task", "list", "--tag", "tenant:7", "--format", "json").json) == 1
    assert len(done("task", "list", "--fingerprint", "f", "--format", "json").json) == 1
    dry = done("task", "cancel", "--tag", "tenant:7", "--dry-run")
    assert "would cancel 1 task." in dry.out + dry.err
    assert rows.counts(direct) == {"pending": 2}
    done("task", "cancel", "--tag", "tenant:7", "--yes")
    assert rows.counts(direct) == {"pending": 1, "cancelled": 1}


@on_sqlite
def test_routes_of_the_configuration_hold_for_the_command_line_and_are_shown(
    direct: DirectStore, workplace: Path
) -> None:
    (workplace / "celers.toml").write_text('[routes]\n"shop.*" = "shop"\n"*" = "rest"\n')
    done("enqueue", "shop.pay")
    done("enqueue", "mail.send")
    done("enqueue", "mail.send", "-q", "own")
    assert [row.queue_name for row in rows.live(direct)] == ["shop", "rest", "own"]
    settings = {one["key"]: one["value"] for one in _settings()}
    assert settings["routes.shop.*.queue"] == '"shop"'


def _settings() -> list[dict[str, str]]:
    found: list[dict[str, str]] = celers("check", "--format", "json").json["settings"]
    return found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[routes]\n"a b" = "x"\n', "celers.toml:2: 'a b' is no pattern of task names"),
        ('[routes]\n"a.*" = "x y"\n', "cannot name a queue"),
        ('[routes]\n"a.*" = 7\n', "cannot name a queue"),
        ("[queues.emails]\ncapacity = 0\n", "whole number from 1"),
    ],
)
def test_a_bad_rule_is_told_with_its_line(workplace: Path, text: str, message: str) -> None:
    (workplace / "celers.toml").write_text(text)
    answer = celers("check")
    assert answer.code == 2
    assert message in answer.err
