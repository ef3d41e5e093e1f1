"""What a person at a terminal sees; everywhere else the tests look through pipes."""

import re

import pytest

from celers_worker.core.progress import Progress
from celers_worker.store.direct import DirectStore
from tests.cli import rows
from tests.cli.shell import Terminal

pytestmark = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def test_what_cannot_be_undone_is_asked_first(direct: DirectStore) -> None:
    rows.dead(direct, 2)

    with Terminal("dlq", "purge", "--all") as terminal:
        terminal.expect("Delete 2 dead tasks for good? [y/N]: ")
        terminal.type("n\n")
        assert terminal.end() == 1
        assert "nothing was changed" in terminal.shown
    assert rows.counts(direct) == {"failed": 2}

    with Terminal("dlq", "purge", "--all") as terminal:
        terminal.expect("[y/N]: ")
        terminal.type("y\n")
        assert terminal.end() == 0
    assert rows.counts(direct) == {}


def test_ctrl_c_at_the_question_changes_nothing(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")

    with Terminal("queue", "purge", "emails") as terminal:
        terminal.expect("[y/N]: ")
        terminal.interrupt()
        assert terminal.end() == 130
        assert "celers: interrupted" in terminal.shown
    assert rows.counts(direct) == {"pending": 1}


def test_long_work_shows_how_far_it_is(direct: DirectStore) -> None:
    rows.dead(direct, 3_000)

    with Terminal("dlq", "requeue", "--all", "--yes") as terminal:
        terminal.expect("Requeueing")
        terminal.expect("requeued 3,000 tasks.")
        assert terminal.end() == 0
        assert "/3000" in terminal.shown
    assert rows.counts(direct) == {"pending": 3_000}


def test_who_waits_for_a_task_sees_how_it_is(direct: DirectStore) -> None:
    task_id = rows.running(direct)

    with Terminal("task", "wait", str(task_id), "--timeout", "2500ms", COLUMNS="110") as terminal:
        terminal.expect(f"Waiting for {task_id}: processing")
        rows.progress(direct, task_id, Progress(2, 5, "pages"))
        terminal.expect("2/5 (40%) pages")
        terminal.expect("has not ended after 2.5s; it goes on.")
        assert terminal.end() == 1


def test_ctrl_c_ends_long_work_between_two_commits_and_tells_what_was_done(
    direct: DirectStore,
) -> None:
    rows.dead(direct, 20_000)

    with Terminal("dlq", "requeue", "--all", "--yes") as terminal:
        terminal.expect("Requeueing")
        terminal.interrupt()
        assert terminal.end() == 130
        told = re.search(r"celers: interrupted: requeued ([\d,]+) tasks", terminal.shown)
    assert told is not None
    done = int(told[1].replace(",", ""))
    counts = rows.counts(direct)
    assert counts.get("pending", 0) == done
    assert counts["failed"] == 20_000 - done

    with Terminal("dlq", "requeue", "--all", "--yes") as terminal:
        terminal.expect(f"requeued {20_000 - done:,} tasks.")
        assert terminal.end() == 0
    assert rows.counts(direct) == {"pending": 20_000}


def test_a_table_fits_the_terminal_and_keeps_the_ids(direct: DirectStore) -> None:
    [dead] = rows.dead(direct, error="ValueError: " + "x" * 500)

    with Terminal("dlq", "list", COLUMNS="110") as terminal:
        assert terminal.end() == 0
        _, line = terminal.shown.splitlines()
    assert line.startswith(str(dead))
    assert line.endswith("x…")
    assert len(line) == 110


@pytest.mark.parametrize(("changes", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_escapes_are_for_terminals_whose_person_wants_them(
    direct: DirectStore, changes: dict[str, str], coloured: bool
) -> None:
    rows.dead(direct)

    with Terminal("dlq", "list", **changes) as terminal:
        assert terminal.end() == 0
        assert ("\x1b[" in terminal.shown) is coloured


def test_on_a_terminal_the_log_is_for_people(direct: DirectStore, tasks_file: object) -> None:
    with Terminal("worker", "--drain") as terminal:
        terminal.expect("worker started")
        assert terminal.end() == 0
        assert '"event"' not in terminal.shown
