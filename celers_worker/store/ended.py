"""Hints that tasks have ended, for who waits for results; most databases give none."""

from __future__ import annotations

import asyncio
import time


class EndedHints:
    """Tells of ends as far as the database can; here it cannot, and time does.

    Hints are hints only: whoever waits also looks from time to time. One for each event loop.
    """

    #: The longest pause between two looks, in seconds.
    longest_pause = 0.5
    #: The pause after the first look, in seconds; it grows to the longest while nothing ends.
    first_pause = 0.01

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._heard = False

    async def listen(self) -> None:
        """Hear from now on; to be called again before each look that no hint asked for."""

    async def heard_within(self, seconds: float) -> bool:
        """Wait for a hint, or to be woken, at most so long; whether there was a hint."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        heard, self._heard = self._heard, False
        return heard

    def wake(self) -> None:
        """End the wait of ``heard_within``, without a hint."""
        self._woken.set()

    def hear(self) -> None:
        """Take a hint."""
        self._heard = True
        self._woken.set()

    def close(self) -> None:
        """Hear no more."""


class EndedPause:
    """How a caller without a loop waits between two looks; here by time, and one for each call."""

    #: The longest pause between two looks, in seconds.
    longest = 0.5

    def wait(self, seconds: float) -> None:
        """Wait for so long, or less where the database hints that tasks ended."""
        time.sleep(seconds)

    def close(self) -> None:
        """Hear no more."""
