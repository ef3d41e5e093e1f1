"""How far long work is, told to whoever wants to know, and whether it should go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Called with the number of rows that were dealt with since the last call.
Advance: TypeAlias = Callable[[int], None]
#: Asked between two commits: whether to end here.
Stop: TypeAlias = Callable[[], bool]


def in_silence(rows: int) -> None:
    """Tell nobody."""


def never() -> bool:
    """Go on to the end."""
    return False
