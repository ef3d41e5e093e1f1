from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from celers_worker.store import make_direct_store
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import SECONDS, Terminal, celers, done, errors, started
from tests.moving import content
from tests.waiting import eventually_sync

SQLITE = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@pytest.fixture
def other(workplace: Path) -> Iterator[DirectStore]:
    """Another database, which is made when it is first opened."""
    with make_direct_store(f"sqlite:///{workplace}/other.db") as store:
        store.open()
        yield store


def url(store: DirectStore) -> str:
    plain = store.url.set(drivername=store.url.get_backend_name())
    return plain.render_as_string(hide_password=False)


def test_copy_takes_everything_along(direct: DirectStore, other: DirectStore) -> None:
    before = content.fill(direct)

    answer = done("copy", "--to", url(other))
    assert answer.out == ("copied 1 queues, 1 results, 2 attempts, 3 archive, 1 dead, 14 tasks.\n")
    assert content.contents(other) == content.ordered(before)
    assert content.contents(direct) == content.ordered(before)


def test_copied_again_nothing_is_doubled(direct: DirectStore, other: DirectStore) -> None:
    rows.waiting(direct, 2)
    done("copy", "--to", url(other))
    rows.waiting(direct)

    answer = done("copy", "--to", url(other))
    assert answer.out == "copied 1 tasks.\n"
    assert answer.err == "2 rows were there already and stay as they are.\n"
    assert rows.counts(other) == {"pending": 3}


def test_move_deletes_at_the_source_what_has_arrived(
    direct: DirectStore, other: DirectStore
) -> None:
    rows.waiting(direct, 3, queue="emails")
    rows.waiting(direct)

    answer = done("copy", "--to", url(other), "--move", "--queue", "emails", "--yes")
    assert answer.out == "copied 3 tasks.\n"
    assert answer.err == "deleted at the source: 3 tasks.\n"
    assert (rows.counts(direct), rows.counts(other)) == ({"pending": 1}, {"pending": 3})


@SQLITE
def test_a_move_is_asked_for(direct: DirectStore, other: DirectStore) -> None:
    rows.waiting(direct)

    answer = celers("copy", "--to", url(other), "--move")
    assert answer.code == 2
    assert errors(answer)[0].endswith("Nobody can be asked here: confirm with --yes.")
    assert done("copy", "--to", url(other), "--move", "--dry-run").out == "would move 1 tasks.\n"
    assert (rows.counts(direct), rows.counts(other)) == ({"pending": 1}, {})


def test_while_workers_run_what_waits_is_left_and_said_to_be(
    direct: DirectStore, other: DirectStore
) -> None:
    rows.waiting(direct, 2)
    rows.dead(direct)
    rows.worker(direct, "send")

    answer = done("copy", "--to", url(other))
    assert answer.out == "copied 1 dead.\n"
    assert answer.err.startswith(f"1 worker runs on {direct.name}, so these were left: ")
    assert answer.err.endswith("tasks. Stop the workers, then run it again.\n")
    assert rows.counts(other) == {"failed": 1}

    answer = celers("copy", "--to", url(other), "--only", "tasks")
    assert answer.code == 1
    assert "Stop the workers, then run it again." in errors(answer)[0]


@SQLITE
def test_a_copy_that_was_killed_goes_on_where_it_was(
    direct: DirectStore, other: DirectStore
) -> None:
    content.write(direct, {"tasks": [content.task() for _ in range(8_000)]})

    with started("copy", "--to", url(other), "--move", "--yes") as process:
        eventually_sync(lambda: rows.counts(other).get("pending", 0) > 0, within=SECONDS)
        process.kill()
        process.wait()
    assert rows.counts(other)["pending"] < 8_000

    done("copy", "--to", url(other), "--move", "--yes")
    assert (rows.counts(direct), rows.counts(other)) == ({}, {"pending": 8_000})


@SQLITE
def test_ctrl_c_ends_a_copy_between_two_commits(direct: DirectStore, other: DirectStore) -> None:
    content.write(direct, {"tasks": [content.task() for _ in range(6_000)]})

    with Terminal("copy", "--to", url(other)) as terminal:
        terminal.expect("Copying")
        terminal.interrupt()
        assert terminal.end() == 130
        assert "Run it again for the rest." in terminal.shown
    done("copy", "--to", url(other))
    assert rows.counts(other) == {"pending": 6_000}


@SQLITE
@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("postgresq://h/x", "--to has the unknown scheme 'postgresq'. Did you mean 'postgresql'?"),
        ("{source}", "are one database: name another one with --to."),
    ],
)
def test_a_wrong_target_is_told(direct: DirectStore, target: str, problem: str) -> None:
    answer = celers("copy", "--to", target.format(source=url(direct)))
    assert answer.code in (1, 2)
    assert problem in errors(answer)[0]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_target_without_tables_says_which_command_to_run(
    other: DirectStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERS_DATABASE_URL", url(other))
    monkeypatch.setenv("CELERS_TARGET_URL", database_url)

    answer = celers("copy")
    assert answer.code == 2
    assert errors(answer) == [
        "--to: the database has no Celers tables. Run: celers migrate "
        "(with --database and that URL)"
    ]
