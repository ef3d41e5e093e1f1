from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import Terminal, celers, done, errors
from tests.moving import content

SQLITE = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@pytest.fixture
def backups(workplace: Path) -> Path:
    directory = workplace / "backups"
    directory.mkdir()
    return directory


def aged(directory: Path, *names: str) -> None:
    """Files as earlier backups left them."""
    for name in names:
        (directory / name).write_bytes(b"")


def test_a_backup_is_verified_and_comes_back(direct: DirectStore, backups: Path) -> None:
    before = content.fill(direct)

    answer = done("backup", str(backups))
    [file] = backups.iterdir()
    assert answer.out == f"{file}\n"
    assert re.fullmatch(r"celers\w*-\d{8}T\d{6}Z\.jsonl\.gz", file.name)
    whole = done("backup", "verify", str(backups)).out
    assert whole.startswith(f"{file} is whole: 1 queues, 1 results, 2 attempts, 3 archive, ")

    content.empty(direct)
    answer = done("restore", str(backups), "--yes")
    assert answer.out == (
        "restored 1 queues, 1 results, 2 attempts, 3 archive, 1 dead, 14 tasks.\n"
    )
    assert content.contents(direct) == content.ordered(before)


def test_restore_refuses_a_database_that_is_not_empty(direct: DirectStore, backups: Path) -> None:
    rows.waiting(direct, 2)
    done("backup", str(backups))
    rows.dead(direct)

    answer = celers("restore", str(backups), "--yes")
    assert answer.code == 1
    assert errors(answer)[0].startswith(f"{direct.name} is not empty: it has 1 dead, 2 tasks.")
    answer = done("restore", str(backups), "--yes", "--merge")
    assert answer.out == "restored nothing.\n"
    assert rows.counts(direct) == {"pending": 2, "failed": 1}


@SQLITE
def test_a_restore_is_asked_for(direct: DirectStore, backups: Path) -> None:
    rows.waiting(direct, 2)
    done("backup", str(backups))
    content.empty(direct)

    answer = celers("restore", str(backups))
    assert answer.code == 2
    assert errors(answer)[0].endswith("Nobody can be asked here: confirm with --yes.")
    with Terminal("restore", str(backups)) as terminal:
        terminal.expect("? [y/N]: ")
        assert "Restore 2 tasks of sqlite:///" in terminal.shown
        terminal.type("n\n")
        assert terminal.end() == 1
    assert rows.counts(direct) == {}
    assert done("restore", str(backups), "--dry-run").out == "would restore 2 tasks.\n"
    assert rows.counts(direct) == {}


def test_restored_queues_can_wait_for_a_person(direct: DirectStore, backups: Path) -> None:
    rows.waiting(direct, queue="emails")
    rows.waiting(direct, queue="reports")
    done("backup", str(backups))
    content.empty(direct)

    answer = done("restore", str(backups), "--yes", "--paused")
    assert answer.err == "paused 2 queues: emails, reports.\n"
    assert rows.counts(direct) == {"pending": 2}
    listed = done("queue", "list", "--format", "json").json
    assert [queue["paused_reason"] for queue in listed] == ["restored from a backup"] * 2


@SQLITE
def test_dead_tasks_can_start_anew_with_a_restore(direct: DirectStore, backups: Path) -> None:
    rows.dead(direct)
    done("backup", str(backups))
    content.empty(direct)

    done("restore", str(backups), "--yes", "--as-pending", "--only", "dead")
    assert rows.counts(direct) == {"pending": 1}


@SQLITE
def test_rotation_keeps_the_newest_of_this_database_and_touches_nothing_else(
    direct: DirectStore, backups: Path
) -> None:
    old = [f"celers-2026010{day}T000000Z.jsonl.gz" for day in range(1, 6)]
    others = [
        "other-20260101T000000Z.jsonl.gz",
        "celers-20260101T000000Z.jsonl.gz.txt",
        "celers-latest.jsonl.gz",
        "notes.txt",
    ]
    aged(backups, *old, *others)

    answer = done("backup", str(backups), "--keep", "3", "--verify")
    new = Path(answer.out.strip()).name
    assert answer.err.endswith("deleted 3 older backups.\n")
    assert set(os.listdir(backups)) == {new, old[4], old[3], *others}


@SQLITE
def test_what_a_backup_and_its_rotation_would_do_is_told(
    direct: DirectStore, backups: Path
) -> None:
    ours = Path(direct.url.database or "celers").stem
    old = backups / f"{ours}-20200101T000000Z.jsonl.gz"
    older = backups / f"{ours}-20190101T000000Z.jsonl.gz"
    for path in (old, older):
        path.write_bytes(b"")
    told = done("backup", str(backups), "--keep", "2", "--dry-run").lines
    assert told[0].startswith("would back up ")
    assert told[1:] == [f"would delete {older}."]
    assert sorted(backups.iterdir()) == [older, old]


@SQLITE
def test_databases_of_one_name_do_not_rotate_each_others_backups(
    direct: DirectStore, backups: Path, tmp_path: Path
) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere' / 'celers.db'}"
    (tmp_path / "elsewhere").mkdir()
    theirs = Path(done("--database", elsewhere, "backup", str(backups)).out.strip())
    named = theirs.with_name("celers-20200101T000000Z.jsonl.gz")
    theirs.rename(named)
    assert Path(direct.url.database or "").stem == "celers"

    assert "would delete" not in done("backup", str(backups), "--keep", "1", "--dry-run").out
    ours = Path(done("backup", str(backups), "--keep", "1").out.strip())
    assert set(backups.iterdir()) == {named, ours}
    refused = celers("restore", str(backups), "--yes")
    assert (refused.code, "name one file" in refused.err) == (1, True)


def test_what_a_killed_backup_left_is_cleared_away_a_day_later(
    direct: DirectStore, backups: Path
) -> None:
    name = Path(done("backup", str(backups)).out.strip()).name.rpartition("-")[0]
    left = f".{name}-20260101T000000Z.jsonl.gz.1.partial"
    fresh = f".{name}-20260102T000000Z.jsonl.gz.2.partial"
    aged(backups, left, fresh)
    os.utime(backups / left, (0, time.time() - 90_000))

    done("backup", str(backups), "--keep", "1")
    assert left not in os.listdir(backups)
    assert fresh in os.listdir(backups)


@SQLITE
def test_a_failed_backup_deletes_no_older_one(direct: DirectStore, backups: Path) -> None:
    aged(backups, "celers-20260101T000000Z.jsonl.gz")
    rows.stamp(direct, "9999")

    assert celers("backup", str(backups), "--keep", "1").code == 2
    assert os.listdir(backups) == ["celers-20260101T000000Z.jsonl.gz"]


@SQLITE
def test_backups_are_listed_the_newest_first(direct: DirectStore, backups: Path) -> None:
    aged(backups, "celers-20260101T000000Z.jsonl.gz", "celers-20260102T030405Z.jsonl.gz", "x")

    _, first, second = done("backup", "list", str(backups)).lines
    assert first.startswith("celers-20260102T030405Z.jsonl.gz  celers    2026-01-02 03:04:05")
    assert second.startswith("celers-20260101T000000Z.jsonl.gz")
    documents = done("backup", "list", str(backups), "--format", "json").json
    assert [document["at"] for document in documents] == [
        "2026-01-02T03:04:05Z",
        "2026-01-01T00:00:00Z",
    ]
    assert done("backup", "list", ".").err == "There is no backup in ..\n"


@SQLITE
def test_verify_tells_cron_of_a_backup_that_is_damaged_or_old(
    direct: DirectStore, backups: Path
) -> None:
    rows.waiting(direct, 3)
    file = Path(done("backup", str(backups)).out.strip())
    assert done("backup", "verify", str(file), "--max-age", "1h").code == 0
    document = done("backup", "verify", str(file), "--format", "json").json
    assert (document["path"], document["rows"]["tasks"]) == (str(file), 3)

    answer = celers("backup", "verify", str(file), "--max-age", "0s")
    assert answer.code == 1
    assert errors(answer)[0].startswith(f"{file} is whole, but of ")

    file.write_bytes(file.read_bytes()[:-30])
    answer = celers("backup", "verify", str(backups))
    assert answer.code == 1
    assert errors(answer)[0].startswith(f"{file} ")


@SQLITE
@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["backup", "nowhere"], 1, "there is no directory nowhere: make it first, or name a file"),
        (["backup", "a.jsonl.gz", "--keep", "3"], 2, "--keep is for a directory of backups"),
        (["backup", "list", "nowhere"], 1, "there is no directory nowhere."),
        (["backup", "verify", "nowhere"], 1, "nowhere: No such file or directory."),
        (["backup", "verify", "."], 1, "there is no backup in .."),
        (["restore", "nowhere", "--yes"], 1, "nowhere: No such file or directory."),
        (["restore", "x", "--on-conflict", "skip"], 2, "--on-conflict goes with --merge"),
        (["backup"], 2, "Usage: celers backup"),
    ],
)
def test_what_is_wrong_is_told(
    direct: DirectStore, arguments: list[str], code: int, problem: str
) -> None:
    answer = celers(*arguments)
    assert answer.code == code
    assert errors(answer)[0].startswith(problem)


@SQLITE
def test_a_directory_of_several_databases_needs_a_choice(
    direct: DirectStore, backups: Path
) -> None:
    aged(backups, "one-20260101T000000Z.jsonl.gz", "two-20260102T000000Z.jsonl.gz")
    assert errors(celers("backup", "verify", str(backups))) == [
        f"{backups} has backups of one, two: name one file."
    ]


@SQLITE
def test_a_backup_can_be_of_a_part_and_in_a_file_of_ones_own(
    direct: DirectStore, workplace: Path
) -> None:
    rows.dead(direct)
    rows.waiting(direct)

    done("backup", "dead.jsonl.gz", "--only", "dead,attempts")
    assert "1 dead of" in done("backup", "verify", "dead.jsonl.gz").out
