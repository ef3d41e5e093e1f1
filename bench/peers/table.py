"""What is shown at the end: a column for each contestant, and how many times better ours is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.figures import Figures

#: By the name of the contestant, the figures of every run.
Runs = Mapping[str, Sequence[Figures]]


@dataclass(frozen=True, slots=True)
class _Form:
    """How the figures whose names begin so are shown."""

    beginning: str
    unit: str
    digits: int
    less_is_better: bool = False


_FORMS = (
    _Form("latency", "ms", 1, less_is_better=True),
    _Form("worker CPU", "s per 10,000", 2, less_is_better=True),
    _Form("server CPU", "s per 10,000", 2, less_is_better=True),
    _Form("all CPU", "s per 10,000", 2, less_is_better=True),
    _Form("WAL", "bytes per task", 0, less_is_better=True),
    _Form("", "tasks/s", 0),
)


def line(name: str, value: float) -> str:
    """A figure with its name and unit."""
    form = _form(name)
    return f"{name} {value:,.{form.digits}f} {form.unit}"


def medians(runs: Runs) -> dict[str, dict[str, float]]:
    """The median of every figure of every contestant."""
    return {
        title: {
            name: median(run[name] for run in figures if name in run)
            for name in dict.fromkeys(name for run in figures for name in run)
        }
        for title, figures in runs.items()
    }


def show(console: Console, runs: Runs, ours: str, setting: Mapping[str, str]) -> None:
    """Print the medians, and under what circumstances they were measured."""
    middle = medians(runs)
    table = Table(
        title=f"Medians (in brackets how many times better {ours} is)", title_justify="left"
    )
    table.add_column("figure")
    table.add_column("unit")
    for title in runs:
        table.add_column(title, justify="right")
    for name in dict.fromkeys(name for figures in middle.values() for name in figures):
        mine = middle.get(ours, {}).get(name)
        cells = (
            _cell(name, figures.get(name), None if title == ours else mine)
            for title, figures in middle.items()
        )
        table.add_row(name, _form(name).unit, *cells)
    console.print(table)
    for key, value in setting.items():
        console.print(f"{key}: {value}")


def write(file: Path, runs: Runs, setting: Mapping[str, str]) -> None:
    """Write every run, with the medians, as JSON."""
    middle = medians(runs)
    document = {
        "setting": dict(setting),
        "contestants": {
            title: {"median": middle[title], "runs": [dict(run) for run in figures]}
            for title, figures in runs.items()
        },
    }
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _form(name: str) -> _Form:
    return next(form for form in _FORMS if name.startswith(form.beginning))


def _cell(name: str, value: float | None, mine: float | None) -> str:
    if value is None:
        return ""
    form = _form(name)
    shown = f"{value:,.{form.digits}f}"
    if not mine or not value:
        return shown
    return f"{shown} ({value / mine if form.less_is_better else mine / value:.1f}x)"
