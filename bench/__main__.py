"""``python -m bench``: scenarios on every database, the median of some runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from bench import report
from bench.backlog import backlog
from bench.contention import contention
from bench.cost import cost
from bench.database import NewDatabase, version_of
from bench.draining import drain
from bench.enqueueing import enqueue_many, enqueue_one
from bench.figures import Figures, place_of, shown, unit
from bench.idling import idle
from bench.latency import latency
from bench.memory import memory
from bench.notifying import notify
from bench.processes import processes
from bench.servers import SERVERS
from bench.snapshot import snapshot
from bench.surroundings import surroundings
from bench.worker import WorkerFailed
from celers_worker import CelersError

#: What is measured unless somebody chooses, and what takes longer.
USUAL: Sequence[Callable[[NewDatabase, int], Figures]] = (enqueue_many, enqueue_one, drain, latency)
OTHERS = (
    idle,
    cost,
    surroundings,
    snapshot,
    backlog,
    processes,
    contention,
    notify,
    memory,
)
TASKS, QUICK_TASKS = 50_000, 5_000


def main() -> int:
    """Measure, print, and return an exit code."""
    arguments = _arguments()
    console = Console(highlight=False)
    runs: dict[str, list[Figures]] = {}
    versions = {}
    try:
        for name in arguments.database or SERVERS:
            with SERVERS[name]() as new_database:
                versions[name] = version_of(new_database)
                runs[name] = _measure(new_database, versions[name], arguments)
    except KeyboardInterrupt:
        return 130
    except (CelersError, WorkerFailed, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    setting = {**report.machine(), **_setting(arguments, versions)}
    report.show(console, runs, setting)
    if arguments.json is not None:
        report.write(arguments.json, runs, setting)
    return 0


def _measure(
    new_database: NewDatabase, version: str, arguments: argparse.Namespace
) -> list[Figures]:
    """The figures of every run; the scenarios take turns."""
    runs: list[Figures] = []
    for number in range(1, arguments.runs + 1):
        run: dict[str, float] = {}
        for scenario in arguments.scenario:
            figures = scenario(new_database, arguments.tasks)
            run |= figures
            for name, value in figures.items():
                line = f"{version}, run {number}: {name} {shown(name, value)} {unit(name)}"
                if place_of(name) is None:
                    print(line, file=sys.stderr, flush=True)
        runs.append(run)
    return runs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    by_name = {scenario.__name__: scenario for scenario in (*USUAL, *OTHERS)}
    usual = [scenario.__name__ for scenario in USUAL]
    add("--database", action="append", choices=SERVERS, help="only this one; may be repeated")
    add("--scenario", action="append", choices=by_name, help="only this one; may be repeated")
    add("--all", action="store_true", help=f"all of them (default: {', '.join(usual)})")
    add("--runs", type=int, help="how often each is run (default: 3)")
    add("--tasks", type=int, help=f"how many tasks are run and added at once (default: {TASKS:,})")
    add("--quick", action="store_true", help=f"one run of {QUICK_TASKS:,} tasks")
    add("--json", type=Path, metavar="FILE", help="write every run there")
    arguments = parser.parse_args()
    arguments.scenario = [
        by_name[name] for name in arguments.scenario or (by_name if arguments.all else usual)
    ]
    arguments.runs = arguments.runs or (1 if arguments.quick else 3)
    arguments.tasks = arguments.tasks or (QUICK_TASKS if arguments.quick else TASKS)
    return arguments


def _setting(arguments: argparse.Namespace, versions: Mapping[str, str]) -> dict[str, str]:
    return {
        "databases": ", ".join(versions.values()) + ", each waiting for the disk at a commit",
        "measured": f"{arguments.runs} runs of {arguments.tasks:,} tasks, one worker process, "
        "default settings, everything on this machine",
    }


if __name__ == "__main__":
    sys.exit(main())
