"""Tasks that come again: by an interval, and by a cron expression.

    python -m examples.recurring --seconds 5

Every worker that declares a schedule looks after it, and nobody leads: the task of each tick is
enqueued once, however many there are. `celers schedule list`, `next` and `history` show the rest;
docs/schedules.md says what happens to ticks that nobody dealt with in time.
"""

import argparse
import asyncio

from celers_worker import Celers, Context, Worker
from celers_worker.config import load_config

app = Celers()


@app.task(queue="recurring", every="1s")
async def report(*, context: Context) -> None:
    print(f"  report    {context.task.id}", flush=True)


@app.task(queue="recurring")
async def clean_up(older_than: str, *, context: Context) -> None:
    print(f"  clean up  {context.task.id}, what is older than {older_than}", flush=True)


# Six fields begin with the second. Two of them would get in each other's way: overlap says so.
app.schedule(
    "clean-up", clean_up, cron="*/2 * * * * *", arguments={"older_than": "1h"}, overlap="skip"
)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.recurring")
    parser.add_argument("--seconds", type=float, default=5.0, help="when to stop (default: 5)")
    seconds = parser.parse_args().seconds

    config = load_config(flags={"worker.queues": ["recurring"]}).config
    async with Worker(app, config):
        await asyncio.sleep(seconds)
    await app.close()
    print("stopped; what has fired: celers schedule history report")


if __name__ == "__main__":
    asyncio.run(main())
