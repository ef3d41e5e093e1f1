"""What is shown at the end: a table for people, a file for machines, and where it was measured."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.database import PRODUCTS
from bench.figures import Figures, place_of, shown, unit

#: For each database the figures of every run, in the order of the scenarios.
Runs = Mapping[str, Sequence[Figures]]


def show(console: Console, runs: Runs, setting: Mapping[str, str]) -> None:
    """Print the medians, and under what circumstances they were measured."""
    table = Table(title="Medians", title_justify="left")
    table.add_column("figure")
    table.add_column("unit")
    for name in runs:
        table.add_column(PRODUCTS[name], justify="right")
    medians = {name: _medians(figures) for name, figures in runs.items()}
    names = dict.fromkeys(name for figures in medians.values() for name in figures)
    for figure in (name for name in names if place_of(name) is None):
        values = (each.get(figure) for each in medians.values())
        cells = ("" if value is None else shown(figure, value) for value in values)
        table.add_row(figure, unit(figure), *cells)
    console.print(table)
    for key, value in setting.items():
        console.print(f"{key}: {value}")


def write(file: Path, runs: Runs, setting: Mapping[str, str]) -> None:
    """Write every run, with the medians, as JSON."""
    document = {
        "setting": dict(setting),
        "databases": {
            name: {"median": _medians(figures), "runs": [dict(run) for run in figures]}
            for name, figures in runs.items()
        },
    }
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def machine() -> dict[str, str]:
    """What the figures depend on, besides the databases."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _medians(runs: Sequence[Figures]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: median(run[name] for run in runs if name in run) for name in names}
