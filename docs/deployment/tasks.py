"""A task to try the examples of this folder with."""

from celers_worker import Celers

app = Celers()


@app.task()
async def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"
