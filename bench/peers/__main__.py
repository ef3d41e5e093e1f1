"""``python -m bench.peers``: the same work on the peers and on ours, in turns on one machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench import report
from bench.figures import Figures
from bench.peers import table
from bench.peers.contestant import Trouble
from bench.peers.contestants import CELERS
from bench.peers.entrants import NAMES, Entrant, Field
from bench.peers.scenarios import EXTRA, SCENARIOS
from celers_worker import CelersError

TASKS, QUICK_TASKS = 50_000, 5_000
#: Columns of a table that goes into a file.
WIDTH = 220


def main() -> int:
    """Install, measure, print, and return an exit code."""
    arguments = _arguments()
    try:
        with ExitStack() as running:
            entrants = list(Field(running).entrants(arguments.contestant))
            runs = _measure(entrants, arguments)
    except KeyboardInterrupt:
        return 130
    except (CelersError, Trouble, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    setting = {**report.machine(), **_setting(entrants, arguments)}
    width = None if sys.stdout.isatty() else WIDTH
    table.show(Console(highlight=False, width=width), runs, CELERS.title, setting)
    if arguments.json is not None:
        table.write(arguments.json, runs, setting)
    return 0


def _measure(entrants: Iterable[Entrant], arguments: argparse.Namespace) -> table.Runs:
    """Every entrant in turn, then all of them again: what the machine does meets them all."""
    runs: dict[str, list[Figures]] = {entrant.title: [] for entrant in entrants}
    for number in range(1, arguments.runs + 1):
        for entrant in entrants:
            run: dict[str, float] = {}
            for name in arguments.scenario:
                figures = _figures(entrant, name, arguments.tasks)
                run |= figures
                for figure, value in figures.items():
                    line = f"{entrant.title}, run {number}: {table.line(figure, value)}"
                    print(line, file=sys.stderr, flush=True)
            runs[entrant.title].append(run)
    return runs


def _figures(entrant: Entrant, name: str, tasks: int) -> Figures:
    """Those of one scenario; none if the entrant does not have it, or failed, which is told."""
    scenario = entrant.scenarios.get(name)
    if scenario is None:
        return {}
    try:
        with entrant.new_place() as place:
            return scenario(place, tasks // entrant.divisor)
    except Trouble as trouble:
        print(trouble, file=sys.stderr, flush=True)
        return {}


def _setting(entrants: Iterable[Entrant], arguments: argparse.Namespace) -> dict[str, str]:
    fewer = [entrant.title for entrant in entrants if entrant.divisor > 1]
    slow = f" (a fifth of them for {', '.join(fewer)})" if fewer else ""
    return {"measured": f"{arguments.runs} runs of {arguments.tasks:,} tasks{slow}, in turns"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    add = parser.add_argument
    add("--contestant", action="append", choices=NAMES, help="only this one; may be repeated")
    add("--scenario", action="append", choices=SCENARIOS, help="only this one; may be repeated")
    add("--surroundings", action="store_true", help="also drain among two million other tasks")
    add("--runs", type=int, help="how often each is run (default: 3)")
    add("--tasks", type=int, help=f"how many tasks are enqueued and run (default: {TASKS:,})")
    add("--quick", action="store_true", help=f"one run of {QUICK_TASKS:,} tasks")
    add("--json", type=Path, metavar="FILE", help="write every run there")
    arguments = parser.parse_args()
    arguments.contestant = arguments.contestant or NAMES
    usual = [name for name in SCENARIOS if name not in EXTRA or arguments.surroundings]
    arguments.scenario = arguments.scenario or usual
    arguments.runs = arguments.runs or (1 if arguments.quick else 3)
    arguments.tasks = arguments.tasks or (QUICK_TASKS if arguments.quick else TASKS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
