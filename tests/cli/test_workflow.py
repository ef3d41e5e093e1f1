from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import update

from celers_worker.core.task import new_id
from celers_worker.store.direct import DirectStore
from celers_worker.store.schema import workflows
from tests.cli import rows
from tests.cli.shell import celers, done, errors
from tests.store.flows import enqueue, states

on_one = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def fail(direct: DirectStore, task_id: UUID) -> None:
    rows.bury(direct, [task_id])


def test_list_shows_how_far_workflows_are(direct: DirectStore) -> None:
    first, names = enqueue(direct, "a>b", name="nightly report")
    second, _ = enqueue(direct, "a>b b>c")
    fail(direct, names["a"])

    _, newer, older = done("workflow", "list").lines
    assert newer.split()[:3] == [str(second), "running", "0/3"]
    assert older.split()[:5] == [str(first), "failed", "nightly", "report", "2/2"]
    assert older.endswith("ValueError: no such user")
    [document] = done("workflow", "list", "--state", "failed", "--format", "json").json
    assert (document["id"], document["counts"]) == (str(first), {"failed": 1, "cancelled": 1})
    assert done("workflow", "list", "--name", "nobody").out == ""
    assert done("workflow", "list", "--limit", "1").err == (
        f"There may be more: say the same with --before {second}\n"
    )
    assert str(first) in done("workflow", "list", "--before", str(second)).out


def test_show_says_what_waits_for_what_and_what_failed(direct: DirectStore) -> None:
    workflow, names = enqueue(direct, "a>c b>c:skip a>h:on_failure")
    fail(direct, names["a"])

    shown = done("workflow", "show", str(workflow)).out
    assert "2 of 4 have ended" in shown  # b runs, and h
    lines = {line.split()[1]: line for line in shown.splitlines() if line[:2].strip().isdigit()}
    assert "failed" in lines["a"]
    assert "ValueError: no such user" in lines["a"]
    assert f"it waits for a ({names['a']})" in lines["c"]
    assert "1, 3 (skip)" in lines["c"]
    assert "1 (on failure)" in lines["h"]


@on_one
def test_a_workflow_can_be_drawn_by_others(direct: DirectStore) -> None:
    workflow, names = enqueue(direct, "a>b b>h:on_failure", name='say "hello"')
    fail(direct, names["a"])

    drawing = done("workflow", "show", str(workflow), "--format", "mermaid").lines
    assert drawing[0] == "flowchart TD"
    assert '    s1["a · failed"]:::failed' in drawing
    assert "    s1 --> s2" in drawing
    assert "    s2 -->|on failure| s3" in drawing
    assert any(line.startswith("    classDef failed fill:") for line in drawing)
    drawing = done("workflow", "show", str(workflow), "--format", "dot").lines
    assert (drawing[0], drawing[-1]) == ("digraph workflow {", "}")
    assert '    s2 -> s3 [label="on failure"];' in drawing
    document = done("workflow", "show", str(workflow), "--format", "json").json
    assert [step["state"] for step in document["steps"]] == ["failed", "cancelled", "cancelled"]
    assert document["edges"][0] == {
        "parent": str(names["a"]),
        "child": str(names["b"]),
        "policy": "fail",
    }


def test_cancel_asks_counts_and_cancels(direct: DirectStore) -> None:
    workflow, _ = enqueue(direct, "a>b")

    dry = done("workflow", "cancel", str(workflow), "--dry-run")
    assert dry.out == f"would cancel workflow {workflow}, of which 2 steps are left.\n"
    unasked = celers("workflow", "cancel", str(workflow))
    assert unasked.code == 2
    assert "confirm with --yes" in errors(unasked)[0]
    assert set(states(direct, workflow).values()) == {"pending", "blocked", "running"}
    told = done("workflow", "cancel", str(workflow), "--yes", "--reason", "not today")
    assert told.out == f"workflow {workflow} is cancelled.\n"
    again = celers("workflow", "cancel", str(workflow), "--yes")
    assert (again.code, errors(again)) == (
        1,
        [f"workflow {workflow} has ended already: it is cancelled."],
    )


@on_one
def test_cancel_says_when_steps_still_run(direct: DirectStore) -> None:
    workflow, names = enqueue(direct, "a>b")
    rows.change(direct, names["a"], state="processing", worker_id="worker-1", lease=1)

    told = done("workflow", "cancel", str(workflow), "--yes")
    assert told.out == f"workflow {workflow} is asked to stop: 1 step.\n"
    assert done("workflow", "list").lines[1].split()[1] == "stopping"


def test_retry_goes_on_from_what_failed(direct: DirectStore) -> None:
    workflow, names = enqueue(direct, "a>b")
    fail(direct, names["a"])

    told = done("workflow", "retry", str(workflow))
    assert told.out == f"workflow {workflow} goes on: 2 steps to be run again.\n"
    assert states(direct, workflow) == {"a": "pending", "b": "blocked", "*": "running"}
    nothing = celers("workflow", "retry", str(workflow))
    assert (nothing.code, "no step that could be tried again" in errors(nothing)[0]) == (1, True)


def test_a_dead_step_requeued_from_the_dead_letter_queue_takes_its_workflow_along(
    direct: DirectStore,
) -> None:
    workflow, names = enqueue(direct, "a>b")
    fail(direct, names["a"])

    done("dlq", "requeue", str(names["a"]))
    assert states(direct, workflow) == {"a": "pending", "b": "blocked", "*": "running"}
    fail(direct, names["a"])
    done("task", "retry", str(names["a"]))
    assert states(direct, workflow)["b"] == "blocked"


def test_wait_prints_the_result_or_fails(direct: DirectStore) -> None:
    workflow, names = enqueue(direct, "a>b")
    late = celers("workflow", "wait", str(workflow), "--timeout", "0s")
    assert (late.code, "still running after 0s" in errors(late)[0]) == (1, True)
    fail(direct, names["a"])
    failed = celers("workflow", "wait", str(workflow))
    assert (failed.code, "failed: a (" in errors(failed)[0]) == (1, True)

    def complete(transaction: object) -> None:
        transaction.connection.execute(  # type: ignore[attr-defined]  # a Transaction
            update(workflows).values(state="completed", result=[])
        )

    direct.run(complete)
    assert done("workflow", "wait", str(workflow)).json == []


@on_one
@pytest.mark.parametrize("verb", ["show", "cancel", "retry", "wait"])
def test_an_unknown_or_mistyped_id_is_told(direct: DirectStore, verb: str) -> None:
    answer = celers("workflow", verb, str(new_id()))
    assert answer.code == 1
    assert "there is no workflow" in errors(answer)[0]
    answer = celers("workflow", verb, "7")
    assert answer.code == 2
    assert errors(answer) == [
        "'7' is no workflow id: copy a whole one from `celers workflow list`."
    ]
