"""Ways to enqueue: one task, many, later, before others, only once, without the code.

python -m examples.producer
celers queue list
celers worker -A examples.producer --drain
"""

import asyncio
from datetime import UTC, datetime, timedelta

from celers_worker import Celers, Options

app = Celers()  # the database of celers.toml or CELERS_DATABASE_URL, else a file celers.db


@app.task(queue="emails", max_retries=5, timeout="30s")
async def send_email(to: str, subject: str) -> str:
    return f"{subject!r} went to {to}"


async def main() -> None:
    # One. The arguments are checked here and now; mypy checks them even earlier.
    welcome = await send_email.enqueue(to="ada@example.org", subject="Welcome")
    print(f"one           {welcome.id}")

    # Many: a thousand in one transaction, made while they are written.
    readers = [f"reader-{number}@example.org" for number in range(1, 11)]
    news = await app.enqueue_many(send_email.call(to=to, subject="News") for to in readers)
    print(f"a batch       {len(news)} tasks")

    # Later: after a time, or at an instant. The database's clock decides.
    reminder = send_email.with_(delay="1m")
    await reminder.enqueue(to="ada@example.org", subject="One minute ago you signed up")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await send_email.with_(at=tomorrow).enqueue(to="ada@example.org", subject="A day ago …")
    print("later         in a minute, and tomorrow")

    # Before others: the highest priority is claimed first.
    for priority in (1, 5, 10):
        urgent = send_email.with_(priority=priority)
        await urgent.enqueue(to="ops@example.org", subject=f"Priority {priority}")
    print("priorities    1, 5, 10: the last one runs first")

    # Only once: while a task with this key lives, no other is added.
    invoice = send_email.with_(unique_key="invoice:2042")
    first = await invoice.enqueue(to="bob@example.org", subject="Invoice 2042")
    second = await invoice.enqueue(to="bob@example.org", subject="Invoice 2042")
    print(f"only once     {first.id == second.id}: the second enqueue found the first task")

    # By name, from a program that does not have the handler's code.
    await app.enqueue(
        "send_email", to="eve@example.org", subject="Hi", options=Options(queue="emails")
    )
    print("by name       send_email")

    await app.close()
    print("\nTry next: celers queue list; celers worker -A examples.producer --drain")


if __name__ == "__main__":
    asyncio.run(main())
