"""Names in labels: they come from rows, which anybody may write, so there is a bound."""

from __future__ import annotations

from collections.abc import Iterable

#: What is over goes to one series.
CAP = 500
OTHER = "other"


class Names:
    """The names that are ours, the first others that come, and one name for all further ones."""

    def __init__(self, ours: Iterable[str] = ()) -> None:
        self._known = set(ours)
        self._most = max(CAP, len(self._known))

    def label(self, name: str) -> str:
        """*name*, or ``other`` if there are too many."""
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name
