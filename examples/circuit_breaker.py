"""A circuit breaker: while a service is down its tasks wait, and lose no attempt by it.

    python -m examples.circuit_breaker

The service of this example is down for its first two seconds. Without the breaker every task would
spend its attempts on it.

Celers has a breaker of its own, for all tasks of a handler and for all workers at once:
`@app.task(circuit=5)`, see docs/operations/control.md. This one is for what that does not know,
such as one of many services, or one tenant.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from celers_worker import Celers, Snooze, Worker, backoff
from celers_worker.config import load_config

app = Celers()


@dataclass
class Breaker:
    """Opens after ``limit`` failures in a row; every ``rest`` seconds one task may try again.

    One for each service and each worker process: every worker finds out for itself, at the price
    of ``limit`` attempts, and shares nothing.
    """

    limit: int
    rest: float
    failures: int = 0
    is_open: bool = False
    next_trial: float = 0.0
    spared: int = 0

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """A block that calls the service. Raises Snooze while the breaker is open."""
        if self.is_open:
            self._admit_one()
        try:
            yield
        except Exception:
            self.failures += 1
            if self.failures >= self.limit and not self.is_open:
                print(f"  {self.failures} failures in a row: the breaker opens")
                self.is_open, self.next_trial = True, time.monotonic() + self.rest
            raise
        if self.is_open:
            print("  the service answers again: the breaker closes")
        self.failures, self.is_open = 0, False

    def _admit_one(self) -> None:
        now = time.monotonic()
        if now < self.next_trial:
            self.spared += 1
            # Spread, so that not all come back at once; and no attempt is counted.
            raise Snooze(self.next_trial - now + random.uniform(0, self.rest), "breaker open")
        self.next_trial = now + self.rest


class Bank:
    """A service that is down at first."""

    def __init__(self, down_for: float) -> None:
        self.up_at = time.monotonic() + down_for
        self.refused = 0

    async def charge(self, order: int) -> str:
        await asyncio.sleep(0.02)
        if time.monotonic() < self.up_at:
            self.refused += 1
            raise ConnectionError("the bank does not answer")
        return f"receipt-{order}"


bank = Bank(down_for=2.0)
breaker = Breaker(limit=3, rest=0.4)


@app.task(queue="payments", max_retries=10, backoff=backoff.fixed("200ms"), concurrency=4)
async def charge(order: int) -> str:
    async with breaker.guard():
        return await bank.charge(order)


async def main() -> None:
    orders = await app.enqueue_many(charge.call(order=number) for number in range(30))
    print(f"{len(orders)} orders to charge; the bank is down")
    config = load_config(flags={"worker.queues": ["payments"]}).config
    async with Worker(app, config):
        receipts = [await order.result(timeout="30s") for order in orders]
    await app.close()
    print(f"{len(receipts)} orders charged")
    print(f"calls that failed, an attempt each: {bank.refused}")
    print(f"calls that the breaker spared: {breaker.spared}")


if __name__ == "__main__":
    asyncio.run(main())
