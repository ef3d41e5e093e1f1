"""The worker that is harmed: ``python -m celers_worker.selftest.worker``, started by actors.py.

What `celers worker` runs, with its upkeep, for the place is its own. It dies with the selftest.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from celers_worker.benchmark.lifeline import end_with_input, first_line
from celers_worker.benchmark.worker import READY
from celers_worker.child.guard import killed_with
from celers_worker.config import Config
from celers_worker.core.errors import CelersError
from celers_worker.core.events import Events, SettleRefused, WorkerStarted
from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs
from celers_worker.observe.logs import listen
from celers_worker.process import run_worker
from celers_worker.selftest import notes
from celers_worker.selftest.tasks import app
from celers_worker.worker import Worker


class Order(msgspec.Struct, frozen=True):
    """What to run. It comes through a pipe, for the URL may hold a password."""

    config: Config
    notes: str
    parent: int


def main() -> None:
    """Run the worker until it is told to stop, or its input ends."""
    order = msgspec.json.decode(first_line(), type=Order)
    killed_with(order.parent)
    threading.Thread(target=end_with_input, daemon=True).start()
    notes.begin(order.notes)
    configure_logs("error", "json")
    adopt_foreign_logs("error")
    events = Events()
    listen(events, level="error")
    events.listen(WorkerStarted, _tell)
    events.listen(SettleRefused, _note_refused)
    try:
        run_worker(Worker(app, order.config, events=events))
    except CelersError as error:
        sys.exit(str(error))


def _tell(event: WorkerStarted) -> None:
    os.write(sys.stdout.fileno(), READY)


def _note_refused(event: SettleRefused) -> None:
    for settlement in event.settlements:
        notes.note(f"refused {settlement.task.id} {settlement.task.lease}")


if __name__ == "__main__":
    main()
