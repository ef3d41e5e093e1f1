"""The program of a handler's process: guarded first, then it runs what the worker sends."""

from __future__ import annotations

import signal
import sys

from celers_worker.child.guard import die_with, out_of_reach


def main() -> None:
    """Serve the worker that started this process: ``socket pipe pid`` are the arguments."""
    end, pipe, worker = (int(argument) for argument in sys.argv[1:4])
    del sys.argv[1:]
    # The worker says when to end. Not SIG_IGN, which programs that are started here would inherit.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignored)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a handler in the worker may ignore it
    end = out_of_reach(end)
    die_with(worker, pipe)

    from celers_worker.child.runs import serve  # after the keeper was copied: it needs none of it

    serve(end)


def _ignored(number: int, frame: object) -> None:
    """Do nothing."""
