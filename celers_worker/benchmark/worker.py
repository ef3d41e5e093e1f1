"""The worker that is measured: ``python -m celers_worker.benchmark.worker``, started by process.py.

What `celers worker` runs, with two differences. It reaps and prunes nothing, because that is work
on the rows of other queues, by settings that need not be theirs. And it lives as long as its
standard input is open, so that it ends with the benchmark even if that is killed.

The first line of the input is an Order; ``READY`` on the output says that it works.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from celers_worker.benchmark.lifeline import end_with_input, first_line
from celers_worker.benchmark.tasks import app
from celers_worker.config import Config
from celers_worker.core.errors import CelersError
from celers_worker.core.events import Events, WorkerStarted
from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs
from celers_worker.observe.logs import listen
from celers_worker.process import run_worker
from celers_worker.worker import Until, Worker

READY = b"ready\n"


class Order(msgspec.Struct, frozen=True):
    """What to run. It comes through a pipe, for the URL may hold a password."""

    config: Config
    until: Until


def main() -> None:
    """Run the worker until its input ends, or until what it was told."""
    order = msgspec.json.decode(first_line(), type=Order)
    threading.Thread(target=end_with_input, daemon=True).start()
    level = order.config.log.level
    configure_logs(level, "json")
    adopt_foreign_logs(level)
    events = Events()
    listen(events, level=level)
    events.listen(WorkerStarted, _tell)
    worker = Worker(
        app, order.config, until=order.until, events=events, fail_fast=True, upkeep=False
    )
    try:
        run_worker(worker)
    except CelersError as error:
        sys.exit(str(error))


def _tell(event: WorkerStarted) -> None:
    os.write(sys.stdout.fileno(), READY)


if __name__ == "__main__":
    main()
