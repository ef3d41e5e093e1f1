"""The only place where a test waits: for something to become true, never for time to pass."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Answer = TypeVar("Answer")

# Short enough to add nothing to a test that waits for a commit; longer later, to leave the CPU
# to what is waited for.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


@overload
async def eventually(
    check: Callable[[], Awaitable[Answer | None]], *, within: float = 30.0
) -> Answer: ...
@overload
async def eventually(check: Callable[[], Answer | None], *, within: float = 30.0) -> Answer: ...
async def eventually(check: Callable[[], object], *, within: float = 30.0) -> object:
    """Return the first truthy answer of `check`, plain or async; fail after `within` seconds.

    An AssertionError inside the check means "not yet", any other error ends the wait.
    """
    __tracebackhide__ = True
    last: object = "none: the check never returned"
    try:
        async with asyncio.timeout(within) as limit:  # also ends a check that hangs
            pause = _FIRST_PAUSE
            while True:
                try:
                    answer = check()
                    if inspect.isawaitable(answer):
                        answer = await answer
                    if answer:
                        return answer
                    last = repr(answer)
                except AssertionError as error:
                    last = error
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
    except TimeoutError:
        if not limit.expired():
            raise  # the check's own
    raise AssertionError(_complaint(check, within, last))


def eventually_sync(check: Callable[[], Answer | None], *, within: float = 30.0) -> Answer:
    """As `eventually`, for a plain check outside an event loop."""
    __tracebackhide__ = True
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        last: object
        try:
            answer = check()
            if answer:
                return answer
            last = repr(answer)
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(check, within, last))
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _complaint(check: Callable[[], object], within: float, last: object) -> str:
    name = getattr(check, "__qualname__", repr(check))
    return f"{name} did not become true within {within:g} s; its last answer: {last}"
