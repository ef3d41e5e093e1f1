"""What may follow a failure: waits that grow, waits by the kind of error, no retry, no attempt.

    python -m examples.advanced_retry

The waits are short, so that you see all of it in a few seconds.
"""

import asyncio
from collections import Counter

from rich.console import Console
from rich.table import Table

from celers_worker import Celers, Context, Dead, Retry, Snooze, TaskFailed, Worker, backoff
from celers_worker.config import load_config
from celers_worker.store.inspect import Attempt, attempts_of

app = Celers()
snoozes: Counter[str] = Counter()


def fibonacci(failures: int) -> float:
    """0.1 s, 0.1 s, 0.2 s, 0.3 s, 0.5 s …"""
    one, two = 0.1, 0.1
    for _ in range(failures - 1):
        one, two = two, one + two
    return one


@app.task(
    queue="retries", max_retries=4, backoff=backoff.exponential("100ms", cap="1s", jitter="full")
)
async def exponential(*, context: Context) -> str:
    """Each wait is a random part of 0.1 s, 0.2 s, 0.4 s …: those that failed together part."""
    if context.attempt < 4:
        raise ConnectionError("the service is overloaded")
    return "came back"


@app.task(queue="retries", max_retries=4, backoff=backoff.custom(fibonacci, cap="1m"))
def your_own(*, context: Context) -> str:
    """Any function from the number of failures to a wait."""
    if context.attempt < 4:
        raise ConnectionError("the service is overloaded")
    return "came back"


@app.task(
    queue="retries",
    max_retries=3,
    backoff=backoff.exponential("5m"),
    backoff_on={TimeoutError: backoff.immediate(), ConnectionError: backoff.fixed("200ms")},
    dead_on=ValueError,
)
async def by_the_error(*, context: Context) -> str:
    """One wait for each kind of error; a wrong value is never tried again."""
    match context.attempt:
        case 1:
            raise TimeoutError("it took too long")
        case 2:
            raise ConnectionError("it hung up")
        case _:
            raise ValueError("there is no such account")


@app.task(queue="retries", max_retries=2)
async def as_the_service_says(*, context: Context) -> str:
    """The handler knows better how long to wait."""
    if context.attempt == 1:
        raise Retry("429 Too Many Requests", after="300ms")
    return "came back"


@app.task(queue="retries", max_retries=0)
async def not_yet(*, context: Context) -> str:
    """Waiting is no failure: no attempt is counted, so none need be left."""
    snoozes[context.idempotency_key] += 1
    if snoozes[context.idempotency_key] < 4:
        raise Snooze("200ms", "the file has not arrived")
    return f"arrived in attempt {context.attempt}"


@app.task(queue="retries", max_retries=9)
async def hopeless() -> None:
    """To try again cannot help, whatever attempts are left."""
    raise Dead("the customer is gone")


def line(attempt: Attempt) -> str:
    kind = attempt.error_type.rpartition(".")[2]
    return f"{attempt.number}. {kind}: {attempt.error_message}"


async def main() -> None:
    handlers = [exponential, your_own, by_the_error, as_the_service_says, not_yet, hopeless]
    table = Table("handler", "came to", "attempts that failed", show_lines=True)
    config = load_config(flags={"worker.queues": ["retries"]}).config
    async with Worker(app, config):
        tasks = [await handler.enqueue() for handler in handlers]
        for handler, task in zip(handlers, tasks, strict=True):
            try:
                ending = f"completed: {await task.result(timeout='30s')}"
            except TaskFailed as failed:
                ending = str(failed.state)
            store = await app.client.store()
            attempts = await store.run(attempts_of, task.id)
            table.add_row(handler.name, ending, "\n".join(map(line, attempts)))
    await app.close()
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
