"""``python -m bench.plots FILE...``: draw what ``python -m bench --json FILE`` measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench import backlog, processes, snapshot
from bench.curves import Curves, Point, read
from bench.database import PRODUCTS

#: Told apart without red and green.
_COLOURS = {"postgres": "#336791", "mysql": "#c0765a", "sqlite": "#7a9a3a"}
_QUIET, _INK = "#9a9a9a", "#333333"
STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#cccccc",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#ececec",
    "xtick.color": "#777777",
    "ytick.color": "#777777",
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "lines.linewidth": 2,
    "svg.hashsalt": "celers",  # the same figures make the same file
}
#: Inches.
_SIZE = (6.4, 3.6)
#: Between two names: in points, and as a share of the axis, which is what that comes to.
_LINE, _APART = 13.0, 0.065

Plot: TypeAlias = Callable[[Curves], Figure | None]


def main() -> int:
    """Draw, say where, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.plots", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what was measured")
    parser.add_argument("--to", type=Path, default=Path("docs/plots"), metavar="FOLDER")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    arguments = parser.parse_args()
    curves = read(arguments.files)
    arguments.to.mkdir(parents=True, exist_ok=True)
    drawn = 0
    with mpl.rc_context(STYLE):
        for name, plot in PLOTS.items():
            figure = plot(curves)
            if figure is not None:
                file = arguments.to / f"{name}.{arguments.format}"
                metadata = {"Date": None} if arguments.format == "svg" else {}
                figure.savefig(file, dpi=160, metadata=metadata)
                print(file)
                drawn += 1
    if not drawn:
        print(
            "Nothing to draw: measure with --scenario backlog, snapshot or processes.",
            file=sys.stderr,
        )
    return 0 if drawn else 1


def _against_backlog(curves: Curves) -> Figure | None:
    """How fast it drains, the more tasks wait."""
    return _by_product(
        curves,
        backlog.CURVE,
        title="Drain by one worker process, the more tasks wait",
        label="tasks waiting at the start",
        prepare=lambda axes: axes.set_xscale("log"),
    )


def _against_processes(curves: Curves) -> Figure | None:
    """How fast it drains by several processes."""
    return _by_product(
        curves,
        processes.CURVE,
        title="Drain by several worker processes",
        label="worker processes",
        prepare=lambda axes: axes.set_xticks(processes.COUNTS),
    )


def _with_snapshot(curves: Curves) -> Figure | None:
    """How fast it drains while somebody holds a snapshot, a panel for each database."""
    products = [product for product in PRODUCTS if (product, snapshot.HELD) in curves]
    if not products:
        return None
    figure = Figure(figsize=(_SIZE[0], _SIZE[1] * len(products)))
    panels = figure.subplots(len(products), squeeze=False)[:, 0]
    for axes, product in zip(panels, products, strict=True):
        for name, colour in ((snapshot.FREE, _QUIET), (snapshot.HELD, _COLOURS[product])):
            _line(axes, curves[product, name], colour=colour, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _finish(axes, f"{PRODUCTS[product]}: drain while a snapshot is held open", "tasks done")
    return figure


def _by_product(
    curves: Curves, name: str, *, title: str, label: str, prepare: Callable[[Axes], object]
) -> Figure | None:
    """A line for each database."""
    products = [product for product in PRODUCTS if (product, name) in curves]
    if not products:
        return None
    figure = Figure(figsize=_SIZE)
    axes = figure.subplots()
    for product in products:
        points = curves[product, name]
        _line(axes, points, colour=_COLOURS[product], label=PRODUCTS[product], marker="o")
    prepare(axes)
    _finish(axes, title, label)
    return figure


def _line(
    axes: Axes, points: Sequence[Point], *, colour: str, label: str, marker: str = ""
) -> None:
    """The medians, within a band from the lowest to the highest."""
    places = [point.at for point in points]
    axes.fill_between(
        places,
        [point.lowest for point in points],
        [point.highest for point in points],
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
    middles = [point.middle for point in points]
    axes.plot(places, middles, color=colour, label=label, marker=marker, markersize=5)


def _name_lines(axes: Axes) -> None:
    """Write each line's name at its end; names that would touch make room for each other."""
    apart = axes.get_ylim()[1] * _APART
    lines: list[Any] = list(axes.get_lines())
    at = -apart
    for line in sorted(lines, key=lambda line: line.get_ydata()[-1]):
        end = line.get_xdata()[-1], line.get_ydata()[-1]
        at = max(at + apart, end[1])
        axes.annotate(
            line.get_label(),
            end,
            xytext=(8, (at - end[1]) / apart * _LINE),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            annotation_clip=False,
        )


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, pad=12)
    axes.set_xlabel(label)
    axes.set_ylabel("tasks per second")
    axes.set_ylim(bottom=0)
    thousands = FuncFormatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_formatter(thousands)
    axes.yaxis.set_major_formatter(thousands)
    axes.minorticks_off()
    _name_lines(axes)


PLOTS: Mapping[str, Plot] = MappingProxyType(
    {
        "backlog": _against_backlog,
        "snapshot": _with_snapshot,
        "processes": _against_processes,
    }
)

if __name__ == "__main__":
    sys.exit(main())
