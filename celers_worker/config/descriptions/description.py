"""The words about one setting."""

from __future__ import annotations

from typing import NamedTuple


class Description(NamedTuple):
    """The words about one setting.

    ``example`` is TOML for config/celers.toml, for want of a default that can be written there.
    """

    what: str
    change: str
    example: str | None = None
