"""The alarm rings: the checker finds what must not be, and nothing where all is well."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from celers_worker.core.task import TaskState
from celers_worker.selftest.checker import (
    WORKER_LOST,
    judge,
    most_at_once,
    recoveries,
)
from celers_worker.selftest.evidence import Evidence, Run, runs_of
from celers_worker.store.evidence import Change, Recorded
from tests.faults.scoreboard import table

TASK = UUID(int=1)
P, R, C, F = TaskState.PENDING, TaskState.PROCESSING, TaskState.COMPLETED, TaskState.FAILED


def trail(*steps: tuple[TaskState, int]) -> list[Change]:
    return [Change(TASK, state, lease) for state, lease in steps]


def run(lease: int, how: str = "end", *, since: int = 0, until: int | None = 1) -> Run:
    return Run(TASK, lease, 1, 100, since, until, how)


def evidence(**changes: Any) -> Evidence:
    """A task that ran once and completed, but for *changes*."""
    found: dict[str, Any] = {
        "changes": trail((P, 0), (R, 1), (C, 1)),
        "now": {TASK: (C, 0, 0)},
        "failures": {},
        "twice": [],
        "answers": {TASK: 1},
    }
    found |= {name: changes.pop(name) for name in found.keys() & changes.keys()}
    sound: dict[str, Any] = {
        "recorded": Recorded(**found),
        "runs": [run(1)],
        "acknowledged": frozenset({TASK}),
        "sent": frozenset({TASK}),
    }
    return Evidence(**{**sound, **changes})


def test_where_all_is_well_the_checker_says_nothing() -> None:
    verdict = judge(evidence())
    assert verdict.problems == []
    assert (verdict.tasks, verdict.completed, verdict.lost, verdict.reruns) == (1, 1, 0, 0)


def test_a_rerun_with_a_recorded_reason_is_counted_and_no_problem() -> None:
    verdict = judge(
        evidence(
            changes=trail((P, 0), (R, 1), (P, 1), (R, 3), (C, 3)),
            failures={(TASK, 1): WORKER_LOST},
            now={TASK: (C, 0, 1)},
            runs=[run(1, "lost", until=None), run(3)],
        )
    )
    assert verdict.problems == []
    assert verdict.reruns == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"now": {}}, "it is nowhere"),
        ({"sent": frozenset(), "acknowledged": frozenset()}, "nobody enqueued it"),
        ({"changes": trail((P, 0), (R, 1), (C, 1), (C, 1))}, "settled again"),
        ({"changes": trail((P, 0), (R, 1), (C, 1), (F, 1))}, "settled again"),
        ({"changes": trail((P, 0), (R, 1), (R, 2), (C, 2))}, "while 1 ran"),
        ({"changes": trail((P, 0), (R, 2), (P, 2), (R, 2), (C, 2))}, "lease 2 after 2"),
        ({"changes": trail((P, 0), (R, 1), (C, 2))}, "lease 1 was ended by 2"),
        ({"changes": trail((P, 0), (C, 0))}, "went from pending to completed"),
        ({"changes": trail((R, 1), (C, 1))}, "begins processing"),
        ({"changes": trail((P, 0), (R, 1))}, "it is otherwise"),
        ({"runs": [run(1), run(1)]}, "run twice"),
        ({"runs": [run(1), run(9)]}, "nobody was given"),
        ({"now": {TASK: (C, 1, 0)}}, "counts 1 failures"),
        ({"failures": {(TASK, 1): "ValueError"}}, "recorded are 1"),
        ({"runs": [run(1)], "narrow": frozenset({TASK}), "limit": 0}, "ran 1 tasks at once"),
        ({"paid": frozenset({TASK})}, "is there 0 times"),
        ({"twice": [TASK]}, "kept in two places"),
        ({"telling": frozenset({TASK}), "answers": {TASK: 3}}, "settled by lease 3, when [1]"),
        ({"telling": frozenset({TASK}), "answers": {}}, "settled by lease None, when [1]"),
        ({"paid": frozenset({TASK}), "effects": Counter({TASK: 2})}, "is there 2 times"),
    ],
)
def test_what_must_not_be_is_found(changes: dict[str, Any], complaint: str) -> None:
    assert any(complaint in problem for problem in judge(evidence(**changes)).problems)


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        (run(1, "end"), "without a reason"),
        (run(1, "failed"), "no attempt is recorded"),
        (run(1, "lost", until=None), "not recorded as lost"),
        (run(1, "cut", until=9), "still ran when lease 3 began"),
    ],
)
def test_a_rerun_without_a_recorded_reason_is_found(first: Run, complaint: str) -> None:
    changes = trail((P, 0), (R, 1), (P, 1), (R, 3), (C, 3))
    verdict = judge(evidence(changes=changes, runs=[first, run(3, since=5, until=6)]))
    assert any(complaint in problem for problem in verdict.problems)


def test_a_recovery_lasts_from_the_death_to_the_next_run() -> None:
    runs = [run(1, "lost", until=None), run(3, since=2_500_000_000), run(4, since=9_000_000_000)]
    assert recoveries(runs, {100: 500_000_000}) == [2.0]
    assert recoveries(runs, {}) == []


def test_notes_are_read_whatever_is_between_them() -> None:
    lines = [
        f"start {TASK} 1 1 100 5",
        "crash claim.written:1:kill",
        f"end {TASK} 1 1 100 7",
        f"start {TASK} 3 2 200 9",
    ]
    assert runs_of(lines) == [
        Run(TASK, 1, 1, 100, 5, 7, "end"),
        Run(TASK, 3, 2, 200, 9, None, "lost"),
    ]
    assert most_at_once([run(1, since=0, until=5), run(2, since=4, until=6)]) == 2
    assert most_at_once([run(1, since=0, until=4), run(2, since=4, until=6)]) == 1


def test_the_scoreboard_adds_up_what_several_processes_noted() -> None:
    judged = {"lost": 0, "double_settled": 0, "problems": 0, "reruns": 2, "unknown_found": 1}
    board = table(
        [
            {"what": "injected", "kind": "kill", "database": "mysql", "count": 2},
            {"what": "injected", "kind": "kill", "database": "mysql", "count": 1_000},
            {"what": "judged", "database": "mysql", "tasks": 7, "completed": 7, **judged},
            {"what": "recovered", "after": "death", "seconds": 2.0, "bound": 3.5},
            {"what": "recovered", "after": "death", "seconds": 3.0, "bound": 3.5},
        ]
    )
    assert "| kill | - | 1,002 | - |" in board
    assert "1,002 faults were injected." in board
    assert "| MariaDB | 7 | 7 | 0 | 0 | 0 | 2 | 1 |" in board
    assert "| death | 3.5 s | 2 | 3.0 s |" in board
