"""Tasks from a file and into one: JSON Lines, streamed, so that a million need no more memory.

    python -m examples.import_export import orders.jsonl
    python -m examples.import_export export > waiting.jsonl

A line is a task: {"name": "ship", "arguments": {"order": 1}, "options": {"priority": 5}}
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from celers_worker import Celers, CelersError
from celers_worker.app.declared import Call
from celers_worker.core.task import TaskState
from celers_worker.store.inspect import TaskFilter, TaskView, list_tasks

app = Celers()
#: Tasks in one look at the database.
PAGE = 500


@app.task(queue="orders")
async def ship(order: int, express: bool = False) -> str:
    return f"order {order} is on its way{' by express' if express else ''}"


@app.task(queue="orders")
async def refund(order: int, amount: float) -> str:
    return f"{amount:.2f} of order {order} paid back"


HANDLERS = {task.name: task for task in (ship, refund)}


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A task as a line has it; ``options`` are those of ``with_``."""

    name: str
    arguments: dict[str, Any] = {}
    options: dict[str, Any] = {}


def read(file: Path, faults: list[str]) -> Iterator[Call[Any]]:
    """The tasks of *file*; a line that holds none is told of, and left out."""
    with file.open("rb") as lines:
        for number, text in enumerate(lines, start=1):
            try:
                line = msgspec.json.decode(text, type=Line)
                handler = HANDLERS[line.name]
                yield handler.with_(**line.options).call(**line.arguments)
            except KeyError as error:
                faults.append(f"line {number}: no handler is called {error}.")
            except (msgspec.DecodeError, CelersError, TypeError) as error:
                faults.append(f"line {number}: {error}")


async def import_(file: Path) -> int:
    faults: list[str] = []
    added = await app.enqueue_many(read(file, faults))
    print(f"{len(added)} tasks enqueued, {len(faults)} lines left out")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


async def export() -> int:
    """What waits, the newest first, a page at a time."""
    store = await app.client.store()
    waiting = TaskFilter(states=[TaskState.PENDING], queue="orders")
    page = await store.run(list_tasks, waiting, limit=PAGE)
    while page:
        for view in page:
            print(msgspec.json.encode(line_of(view)).decode())
        page = await store.run(list_tasks, waiting, limit=PAGE, before=page[-1].id)
    return 0


def line_of(view: TaskView) -> Line:
    arguments = msgspec.json.decode(view.payload)
    return Line(view.name, arguments, {"priority": view.priority, "max_retries": view.max_retries})


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.import_export")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("import").add_argument("file", type=Path)
    commands.add_parser("export")
    given = parser.parse_args()
    try:
        return await (import_(given.file) if given.command == "import" else export())
    finally:
        await app.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
