"""A deadline cuts what takes too long, whichever of many blocks it is."""

import asyncio

import pytest

from celers_worker.core.errors import Unavailable
from celers_worker.store.deadline import Deadline

SECONDS = 0.1


class Line:
    """A connection: waiting on it ends when it is cut."""

    def __init__(self):
        self.gone = asyncio.Event()

    def cut(self):
        self.gone.set()

    async def wait(self):
        await self.gone.wait()
        raise OSError("the connection is gone")


async def passed(seconds):
    """Wait for a timer of the loop itself, behind those that are due before."""
    loop = asyncio.get_running_loop()
    fired = loop.create_future()
    loop.call_later(seconds, fired.set_result, None)
    await fired


async def test_what_takes_too_long_is_cut_and_told():
    line = Line()
    deadline = Deadline(SECONDS, line.cut)
    with pytest.raises(Unavailable, match=r"did not answer within 0\.1 s"), deadline:
        await line.wait()


async def test_each_block_has_all_of_its_time():
    line, loop = Line(), asyncio.get_running_loop()
    deadline = Deadline(SECONDS, line.cut)
    with deadline:
        pass
    await passed(SECONDS / 2)  # the timer of the first block fires while the second runs
    began = loop.time()
    with pytest.raises(Unavailable), deadline:
        await line.wait()
    assert loop.time() - began >= SECONDS


async def test_an_error_before_its_end_is_the_blocks_own():
    line = Line()
    with pytest.raises(OSError, match="refused"), Deadline(SECONDS, line.cut):
        raise OSError("refused")


async def test_nothing_is_cut_between_blocks():
    line = Line()
    with Deadline(SECONDS, line.cut):
        pass
    await passed(2 * SECONDS)  # behind the deadline's own timer
    assert not line.gone.is_set()


async def test_a_cancelled_block_stays_cancelled():
    line = Line()

    async def work():
        with Deadline(SECONDS, line.cut):
            try:
                await line.wait()
            except OSError:
                raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await work()
