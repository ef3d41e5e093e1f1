"""``celers task result``, and what ``celers task show`` tells of it."""

from __future__ import annotations

import base64
import threading

import pytest

from celers_worker.core.outcome import Completed, Dead, Failure, Outcome, Settlement
from celers_worker.core.task import Demand, new_id
from celers_worker.store.direct import DirectStore
from celers_worker.store.levels import Levels
from tests.cli import rows
from tests.cli.shell import celers, done, errors

DATA = b'{"declared":"shop.OutOfStock","args":[],"attributes":{"item":7}}'
FAILURE = Failure("shop.OutOfStock", "none left", rows.TRACEBACK, DATA)


def ended(direct: DirectStore, outcome: Outcome) -> str:
    """A task that came to *outcome*."""
    [task_id] = rows.waiting(direct)
    settle(direct, outcome)
    return str(task_id)


def settle(direct: DirectStore, outcome: Outcome) -> None:
    demand = Demand(total=1, others=1)
    [task] = direct.run(lambda transaction: transaction.claim("worker-1", demand, Levels()))
    direct.run(lambda transaction: transaction.settle("worker-1", [Settlement(task, outcome)]))


def test_a_result_is_printed_as_json(direct: DirectStore) -> None:
    task_id = ended(direct, Completed(b'{"sent": [1, 2]}', 1.5))

    assert done("task", "result", task_id).json == {"sent": [1, 2]}
    document = done("task", "result", task_id, "--format", "json").json
    assert (document["state"], document["value"], document["runtime"]) == (
        "completed",
        {"sent": [1, 2]},
        1.5,
    )
    assert (document["name"], document["error"], document["codec"]) == ("send", None, None)


def test_a_result_that_is_not_json_is_printed_as_it_is_and_as_base64_to_programs(
    direct: DirectStore,
) -> None:
    task_id = ended(direct, Completed(b"plain words", codec="raw"))

    assert done("task", "result", task_id).out == "plain words"
    document = done("task", "result", task_id, "--format", "json").json
    assert (document["codec"], document["value"]) == ("raw", None)
    assert base64.b64decode(document["value_bytes"]) == b"plain words"
    assert "11 bytes that are not JSON" in done("task", "show", task_id).out


def test_of_a_failure_the_error_is_printed_with_all_that_is_known_to_programs(
    direct: DirectStore,
) -> None:
    task_id = ended(direct, Dead("gave up", FAILURE, 2.5))

    answer = celers("task", "result", task_id)
    assert (answer.code, answer.out) == (1, "")
    assert errors(answer) == [f"task {task_id} failed: shop.OutOfStock: none left"]
    answer = celers("task", "result", task_id, "--format", "json")
    assert answer.code == 1
    document = answer.json
    assert (document["error_type"], document["error_data"]) == ("shop.OutOfStock", {"item": 7})
    assert (document["runtime"], document["traceback"]) == (2.5, rows.TRACEBACK)


def test_show_tells_the_type_of_the_error_its_data_and_the_runtime(direct: DirectStore) -> None:
    task_id = ended(direct, Dead("gave up", FAILURE, 2.5))

    page = done("task", "show", task_id).out
    for words in ("error type", "shop.OutOfStock", "runtime", "2s", '"item": 7'):
        assert words in page
    document = done("task", "show", task_id, "--format", "json").json
    assert (document["error_type"], document["runtime"]) == ("shop.OutOfStock", 2.5)
    assert (document["error_data"], document["result"]) == ({"item": 7}, None)


def test_what_has_not_ended_is_said_or_waited_for(direct: DirectStore) -> None:
    [task_id] = rows.waiting(direct)

    answer = celers("task", "result", str(task_id))
    assert (answer.code, errors(answer)) == (
        1,
        [f"task {task_id} is still pending. Wait for it: --wait"],
    )
    answer = celers("task", "result", str(task_id), "--wait", "--timeout", "30ms")
    assert errors(answer) == [f"task {task_id} is still pending after 30ms; it goes on."]
    later = threading.Timer(0.05, settle, (direct, Completed(b"7")))
    later.start()
    answer = done("task", "result", str(task_id), "--wait", "--timeout", "20s")
    later.join()
    assert answer.json == 7


def test_a_result_is_deleted_when_that_is_confirmed_and_its_task_stays(
    direct: DirectStore,
) -> None:
    task_id = ended(direct, Completed(b"7"))

    answer = done("task", "result", task_id, "--delete", "--dry-run")
    assert answer.out == f"would delete the result of {task_id}.\n"
    answer = celers("task", "result", task_id, "--delete")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert done("task", "result", task_id).json == 7
    answer = done("task", "result", task_id, "--delete", "--yes")
    assert answer.out == f"deleted the result of {task_id}.\n"
    assert done("task", "result", task_id).json is None
    again = done("task", "result", task_id, "--delete", "--yes")
    assert again.out == f"{task_id} has no result that is kept: nothing to delete.\n"


def test_a_result_of_no_task_is_an_error(direct: DirectStore) -> None:
    for flags in ((), ("--delete", "--yes"), ("--format", "json")):
        task_id = str(new_id())
        answer = celers("task", "result", task_id, *flags)
        assert (answer.code, errors(answer)) == (
            1,
            [f"there is no task {task_id}, or its retention is over. See: celers task list"],
        )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--delete", "--wait"], "--delete and --wait do not go together"),
        (["--timeout", "1s"], "--timeout is for --wait"),
        (["--yes"], "--dry-run and --yes are for --delete"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(flags: list[str], message: str) -> None:
    answer = celers("task", "result", str(new_id()), *flags)
    assert answer.code == 2
    assert message in answer.err
