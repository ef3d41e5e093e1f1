"""Tasks that come again: each plans its next run before it works.

    python -m examples.recurring --seconds 5

A run's unique key is the time it is due, so the next one is planned once, however many workers
there are and however often this one is repeated. A worker that was away misses what was due
meanwhile, and goes on with the next.
"""

import argparse
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from celers_worker import Celers, Worker
from celers_worker.app import DeclaredTask
from celers_worker.config import load_config

app = Celers()
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@app.task(queue="recurring")
async def report(due: str) -> None:
    await plan(report, after=datetime.fromisoformat(due))
    print(f"  report    due {due[11:19]}", flush=True)


@app.task(queue="recurring")
async def clean_up(due: str) -> None:
    await plan(clean_up, after=datetime.fromisoformat(due))
    print(f"  clean up  due {due[11:19]}", flush=True)


#: What comes again, and how often.
SCHEDULE: Mapping[str, tuple[DeclaredTask[..., Any], timedelta]] = {
    "report": (report, timedelta(seconds=1)),
    "clean_up": (clean_up, timedelta(seconds=2)),
}


async def plan(task: DeclaredTask[..., Any], *, after: datetime) -> None:
    """Enqueue the next run of *task* after that instant and after now."""
    _, period = SCHEDULE[task.name]
    passed = max(after, datetime.now(UTC)) - EPOCH
    due = EPOCH + (passed // period + 1) * period
    text = due.isoformat()
    await task.with_(at=due, unique_key=f"{task.name}:{text}").enqueue(due=text)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.recurring")
    parser.add_argument("--seconds", type=float, default=5.0, help="when to stop (default: 5)")
    seconds = parser.parse_args().seconds

    for task, period in SCHEDULE.values():
        await plan(task, after=EPOCH)
        print(f"{task.name}: every {period.total_seconds():g} s")
    config = load_config(flags={"worker.queues": ["recurring"]}).config
    async with Worker(app, config):
        await asyncio.sleep(seconds)
    await app.close()
    print("stopped; the next runs are planned: celers task list")


if __name__ == "__main__":
    asyncio.run(main())
