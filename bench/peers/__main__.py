"""``python -m bench.peers``: the same work on the peers and on ours, in turns on one machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench import report
from bench.figures import Figures
from bench.peers import table
from bench.peers.contestant import Contestant, Trouble
from bench.peers.contestants import CELERS, CONTESTANTS
from bench.peers.installation import Installation
from bench.peers.postgres import Postgres, postgres
from bench.peers.program import CHECKOUT, Driver
from bench.peers.scenarios import SCENARIOS
from celers_worker import CelersError

TASKS, QUICK_TASKS = 50_000, 5_000
#: Columns of a table that goes into a file.
WIDTH = 200
FOLDER = CHECKOUT / ".bench-peers"


def main() -> int:
    """Install, measure, print, and return an exit code."""
    arguments = _arguments()
    try:
        drivers = list(_drivers([CONTESTANTS[name] for name in arguments.contestant]))
        with postgres() as server:
            runs = _measure_all(server, drivers, arguments)
    except KeyboardInterrupt:
        return 130
    except (CelersError, Trouble, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    setting = {
        **report.machine(),
        "measured": f"{arguments.runs} runs of {arguments.tasks:,} tasks",
    }
    width = None if sys.stdout.isatty() else WIDTH
    table.show(Console(highlight=False, width=width), runs, CELERS.title, setting)
    if arguments.json is not None:
        table.write(arguments.json, runs, setting)
    return 0


def _measure_all(
    server: Postgres, drivers: Sequence[Driver], arguments: argparse.Namespace
) -> dict[str, list[Figures]]:
    """Every contestant in turn, then all of them again: what the machine does meets them all."""
    runs: dict[str, list[Figures]] = {driver.contestant.title: [] for driver in drivers}
    for number in range(1, arguments.runs + 1):
        for driver in drivers:
            figures: dict[str, float] = {}
            for scenario in arguments.scenario:
                with server.place() as place:
                    measured = scenario(driver, place, arguments.tasks // driver.contestant.divisor)
                figures |= measured
                for name, value in measured.items():
                    told = f"{driver.contestant.title}, run {number}: {table.line(name, value)}"
                    print(told, file=sys.stderr, flush=True)
            runs[driver.contestant.title].append(figures)
    return runs


def _drivers(contestants: Sequence[Contestant]) -> Iterator[Driver]:
    """Those that can run here; a line for each of the others."""
    installation = Installation(FOLDER)
    for contestant in contestants:
        try:
            command = installation.command(contestant)
        except Trouble as trouble:
            print(f"{contestant.title} is skipped: {trouble}", file=sys.stderr)
        else:
            yield Driver(contestant, command)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    add = parser.add_argument
    by_name = {scenario.__name__: scenario for scenario in SCENARIOS}
    add("--contestant", action="append", choices=CONTESTANTS, help="only this; may be repeated")
    add("--scenario", action="append", choices=by_name, help="only this; may be repeated")
    add("--runs", type=int, help="how often each is run (default: 3)")
    add("--tasks", type=int, help=f"how many tasks are enqueued and run (default: {TASKS:,})")
    add("--quick", action="store_true", help=f"one run of {QUICK_TASKS:,} tasks")
    add("--json", type=Path, metavar="FILE", help="write every run there")
    arguments = parser.parse_args()
    arguments.contestant = arguments.contestant or list(CONTESTANTS)
    arguments.scenario = [by_name[name] for name in arguments.scenario or by_name]
    arguments.runs = arguments.runs or (1 if arguments.quick else 3)
    arguments.tasks = arguments.tasks or (QUICK_TASKS if arguments.quick else TASKS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
