"""Which queue the tasks of a name go to: rules in order, of which the first that matches wins.

A queue that the enqueue itself names goes before the rules, and they go before the one that the
handler declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import check_queue_name

# What a task may be called, and the wildcards *, ? and [abc].
_PATTERN = re.compile(r"[A-Za-z0-9_.:\-*?\[\]!]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Route:
    """Tasks whose name is, or matches, ``pattern`` go to ``queue``."""

    pattern: str
    queue: str

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a pattern that no name can match, and a bad queue."""
        check_pattern(self.pattern)
        check_queue_name(self.queue)


@dataclass(frozen=True, slots=True)
class Routes:
    """Rules in their order."""

    rules: tuple[Route, ...] = ()
    _found: dict[str, str | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def queue_of(self, name: str) -> str | None:
        """The queue for tasks called *name*; None: no rule is about them."""
        if name not in self._found:
            matching = (rule.queue for rule in self.rules if fnmatchcase(name, rule.pattern))
            self._found[name] = next(matching, None)
        return self._found[name]

    def before(self, rules: Iterable[Route]) -> Routes:
        """These rules, and after them *rules*."""
        return Routes((*self.rules, *rules))


def check_pattern(pattern: object) -> str:
    """Return *pattern*, or raise ConfigurationError saying what one looks like."""
    if isinstance(pattern, str) and _PATTERN.fullmatch(pattern):
        return pattern
    raise ConfigurationError(
        f"{pattern!r} is no pattern of task names: write a name, such as shop.reports.monthly, or "
        "one with wildcards, such as shop.reports.*"
    )
