from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from celers_worker.moving.files import written_whole
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import SECONDS, Terminal, celers, done, errors, run, started
from tests.moving import content
from tests.waiting import eventually_sync

SQLITE = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def parts(text: str) -> list[str]:
    return [next(iter(json.loads(line))) for line in text.splitlines()]


def test_export_to_standard_output_and_back(direct: DirectStore) -> None:
    before = content.fill(direct)

    answer = done("export")
    assert answer.err == (
        "exported 1 queues, 1 results, 2 attempts, 3 archive, 1 dead, 14 tasks.\n"
    )
    content.empty(direct)
    assert done("import", "-", stdin=answer.out).out == (
        "imported 1 queues, 1 results, 2 attempts, 3 archive, 1 dead, 14 tasks.\n"
    )
    assert content.contents(direct) == content.ordered(before)


def test_export_to_a_file_and_back(direct: DirectStore, workplace: Path) -> None:
    before = content.fill(direct)

    done("export", "--output", "all.jsonl.gz")
    file = workplace / "all.jsonl.gz"
    assert parts(gzip.decompress(file.read_bytes()).decode())[0] == "header"
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(workplace) == ["all.jsonl.gz"]
    content.empty(direct)
    done("import", "all.jsonl.gz")
    assert content.contents(direct) == content.ordered(before)


def test_the_same_import_twice_says_that_all_is_there(direct: DirectStore) -> None:
    rows.waiting(direct, 3)
    text = done("export").out

    answer = done("import", "-", stdin=text)
    assert answer.out == "imported nothing.\n"
    assert answer.err == "3 rows were there already and stay as they are.\n"
    assert rows.counts(direct) == {"pending": 3}


def test_filters_and_parts_choose_what_is_exported(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")
    rows.waiting(direct, name="other")
    rows.dead(direct)

    assert parts(done("export", "--only", "dead,attempts").out) == ["header", "dead", "end"]
    assert parts(done("export", "--queue", "emails").out) == ["header", "tasks", "end"]
    assert parts(done("export", "--state", "failed").out) == ["header", "dead", "end"]
    assert parts(done("export", "--name", "other").out) == ["header", "tasks", "end"]


@SQLITE
def test_a_part_that_does_not_exist_gets_the_nearest(direct: DirectStore) -> None:
    answer = celers("export", "--only", "archived")
    assert (answer.code, errors(answer)) == (
        2,
        ["there is no part 'archived'. Did you mean 'archive'?"],
    )


@SQLITE
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "standard input is empty."),
        ("nonsense\n", "standard input, line 1: it is no export of Celers: not JSON: "),
    ],
)
def test_what_is_no_export_is_refused(direct: DirectStore, text: str, problem: str) -> None:
    answer = celers("import", "-", stdin=text)
    assert answer.code == 1
    assert errors(answer)[0].startswith(problem)


@SQLITE
def test_a_damaged_file_changes_nothing_unless_part_of_it_is_wanted(
    direct: DirectStore, workplace: Path
) -> None:
    rows.waiting(direct, 3)
    lines = done("export").out.splitlines(keepends=True)
    content.empty(direct)
    (workplace / "cut.jsonl").write_text("".join(lines[:3]))

    answer = celers("import", "cut.jsonl")
    assert answer.code == 1
    assert errors(answer)[0].startswith("cut.jsonl ends after line 3 without its last line")
    assert rows.counts(direct) == {}

    answer = done("import", "cut.jsonl", "--partial")
    assert answer.out == "imported 2 tasks.\n"
    assert "celers: warning: only in part: cut.jsonl ends after line 3" in answer.err
    assert rows.counts(direct) == {"pending": 2}


@SQLITE
def test_a_dry_run_of_an_import_says_what_would_come(direct: DirectStore) -> None:
    rows.waiting(direct, 3)
    text = done("export").out
    content.empty(direct)

    assert done("import", "-", "--dry-run", stdin=text).out == "would import 3 tasks.\n"
    assert rows.counts(direct) == {}


def test_conflicts_are_skipped_replaced_or_refused(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)
    text = done("export").out
    rows.change(direct, task_id, priority=7)

    answer = celers("import", "-", "--on-conflict", "fail", stdin=text)
    assert answer.code == 1
    assert errors(answer) == [
        f"tasks {task_id} is in the database already, and --on-conflict is fail: nothing was "
        "changed. To keep what is there: --on-conflict skip"
    ]
    done("import", "-", stdin=text)
    assert [row.priority for row in rows.live(direct)] == [7]
    answer = done("import", "-", "--on-conflict", "replace", stdin=text)
    assert answer.err == "1 row replaced those that were there.\n"
    assert [row.priority for row in rows.live(direct)] == [0]


def test_dead_tasks_come_in_pending_if_that_is_wanted(direct: DirectStore) -> None:
    rows.dead(direct, 2)
    text = done("export", "--only", "dead").out
    content.empty(direct)

    done("import", "-", "--as-pending", stdin=text)
    assert rows.counts(direct) == {"pending": 2}


@SQLITE
def test_an_import_that_was_killed_goes_on_where_it_was(
    direct: DirectStore, workplace: Path
) -> None:
    content.write(direct, {"tasks": [content.task() for _ in range(8_000)]})
    done("export", "-o", "all.jsonl")
    content.empty(direct)

    with started("import", "all.jsonl") as process:
        eventually_sync(lambda: rows.counts(direct).get("pending", 0) > 0, within=SECONDS)
        process.kill()
        process.wait()
    there = rows.counts(direct)["pending"]
    assert there % 1_000 == 0

    done("import", "all.jsonl")
    assert rows.counts(direct) == {"pending": 8_000}


def test_an_export_that_is_interrupted_leaves_no_file(workplace: Path) -> None:
    def interrupted() -> None:
        with written_whole(workplace / "all.jsonl") as file:
            file.write(b"the beginning")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(workplace) == []


@SQLITE
def test_a_terminal_sees_how_far_an_import_is_and_can_end_it(
    direct: DirectStore, workplace: Path
) -> None:
    content.write(direct, {"tasks": [content.task() for _ in range(6_000)]})
    done("export", "-o", "all.jsonl")
    content.empty(direct)

    with Terminal("import", "all.jsonl") as terminal:
        terminal.expect("Importing")
        terminal.interrupt()
        assert terminal.end() == 130
        assert "Run it again for the rest." in terminal.shown
    done("import", "all.jsonl")
    assert rows.counts(direct) == {"pending": 6_000}


@SQLITE
def test_the_reader_of_a_pipe_may_leave(direct: DirectStore) -> None:
    content.write(direct, {"tasks": [content.task() for _ in range(3_000)]})
    ended = run("export", stdout=_closed_pipe())
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


def _closed_pipe() -> Any:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@SQLITE
@pytest.mark.parametrize("name", ["nowhere/all.jsonl", ".", "/dev/null"])
def test_a_file_that_cannot_be_written_is_told(direct: DirectStore, name: str) -> None:
    answer = celers("export", "-o", name)
    assert answer.code == 1
    assert len(errors(answer)) == 1
