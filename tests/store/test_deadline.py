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


async def test_what_takes_too_long_is_cut_and_told():
    line = Line()
    deadline = Deadline(SECONDS, line.cut)
    with pytest.raises(Unavailable, match=r"did not answer within 0\.1 s"):
        with deadline:
            await line.wait()


async def test_each_block_has_all_of_its_time():
    line, loop = Line(), asyncio.get_running_loop()
    deadline = Deadline(SECONDS, line.cut)
    with deadline:
        await asyncio.sleep(SECONDS / 2)
    line.gone.clear()  # on a slow machine the first was cut, which is not the point here
    with pytest.raises(Unavailable):
        with deadline:
            began = loop.time()  # before the timer of the first block has fired
            await line.wait()
    assert loop.time() - began >= SECONDS


async def test_an_error_before_its_end_is_the_blocks_own():
    line = Line()
    with pytest.raises(OSError, match="refused"):
        with Deadline(SECONDS, line.cut):
            raise OSError("refused")


async def test_nothing_is_cut_between_blocks():
    line, loop = Line(), asyncio.get_running_loop()
    with Deadline(SECONDS, line.cut):
        pass
    fired = loop.create_future()
    loop.call_later(2 * SECONDS, fired.set_result, None)  # behind the deadline's own timer
    await fired
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
