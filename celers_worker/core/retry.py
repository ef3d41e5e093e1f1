"""Whether and when a failed run is tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from celers_worker.core.backoff import Backoff, exponential
from celers_worker.core.errors import ConfigurationError

Errors: TypeAlias = type[BaseException] | Iterable[type[BaseException]]
E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A handler's answer to its own failures.

    ``backoff`` is the handler's own; without one ``by_queue`` has a queue's, and ``otherwise`` is
    for the rest. ``retry_on``: only these exceptions are worth another attempt. ``dead_on``: these
    never are, and win. Both count subclasses. ``on`` gives single exceptions a backoff of their
    own; the most specific class wins.
    """

    backoff: Backoff | None = None
    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    dead_on: tuple[type[BaseException], ...] = ()
    on: tuple[tuple[type[BaseException], Backoff], ...] = ()
    by_queue: Mapping[str, Backoff] = field(default_factory=dict)
    otherwise: Backoff = field(default_factory=exponential)

    def allows(self, error: BaseException) -> bool:
        """Whether another attempt after *error* can help at all."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.dead_on)

    def delay(self, failures: int, error: BaseException, queue: str = "") -> timedelta:
        """How long a task of *queue* waits after its run number *failures* ended in *error*.

        A backoff of the user's that itself fails must not lose the task: the default stands in.
        """
        matching = [entry for entry in self.on if isinstance(error, entry[0])]
        chosen = (
            max(matching, key=lambda entry: len(entry[0].__mro__))[1]
            if matching
            else self.backoff or self.by_queue.get(queue, self.otherwise)
        )
        try:
            return chosen.delay(failures)
        except Exception:  # the user's function
            return exponential().delay(failures)


def exception_classes(
    errors: Errors,
    *,
    of: type[E] = BaseException,  # type: ignore[assignment]  # the default of the default
) -> tuple[type[E], ...]:
    """One exception class or several as a tuple. Raises ConfigurationError for anything else."""
    found: tuple[Any, ...] = (errors,) if isinstance(errors, type) else tuple(errors)
    for one in found:
        if not (isinstance(one, type) and issubclass(one, of)):
            raise ConfigurationError(f"{one!r} is no exception class.")
    return found
