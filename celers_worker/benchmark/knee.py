"""The knee of concurrency: up to where more tasks at once are faster."""

from __future__ import annotations

from collections.abc import Sequence

from celers_worker.benchmark.draining import drained
from celers_worker.benchmark.figures import RATE, Figure
from celers_worker.benchmark.run import Run
from celers_worker.benchmark.tasks import WAIT, wait

STEPS = (10, 50, 100, 200, 500, 1_000)
#: A gain below a tenth is not worth the memory, nor the load on what the handlers call.
GAIN = 1.1
#: So many steps beyond the knee make sure of it, for one may have been disturbed.
_BEYOND = 2
KNEE = "knee of concurrency"


def knee(run: Run) -> list[Figure]:
    """Drain tasks that wait at rising concurrency, until more gains less than a tenth."""
    seconds = run.limits.seconds / 2
    rates: list[tuple[int, float]] = []
    for concurrency in STEPS:
        possible = concurrency / WAIT
        if rates:  # no step triples the rate but the first ones, whose bound is the wait
            possible = min(possible, 3 * rates[-1][1])
        count = max(round(possible * seconds), 4 * concurrency)
        rate = drained(
            run, wait, count=min(count, run.limits.tasks), seconds=seconds, concurrency=concurrency
        )
        if rate is None:
            break
        rates.append((concurrency, rate))
        if found(rates) in [step for step, _ in rates[:-_BEYOND]]:
            break
    figures = [
        Figure(f"drain at concurrency {concurrency}", rate, RATE, _hint(concurrency, rate))
        for concurrency, rate in rates
    ]
    if rates:
        figures.append(Figure(KNEE, found(rates), "tasks", _advice(rates)))
    return figures


def found(rates: Sequence[tuple[int, float]]) -> int:
    """The first concurrency, of pairs with rates, beyond which none gains a tenth or more."""
    best = max(rate for _, rate in rates)
    return next(concurrency for concurrency, rate in rates if rate * GAIN > best)


def _hint(concurrency: int, rate: float) -> str:
    busy = rate * WAIT / concurrency
    return f"{WAIT * 1e3:g} ms handlers; {busy:.0%} of the permits in use"


def _advice(rates: Sequence[tuple[int, float]]) -> str:
    best = found(rates)
    more = " or more" if best == STEPS[-1] else ""
    return f"[worker] concurrency = {best}{more}; more for handlers that wait longer"
