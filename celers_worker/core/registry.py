"""Registry: the handlers of an application, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.names import nearest, split_version


class Registry:
    """The handlers of an application, by name."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(self, handler: Handler) -> None:
        """Add *handler*. Raises ConfigurationError if its name is taken, saying by whom."""
        other = self._handlers.get(handler.name)
        if other is not None:
            raise ConfigurationError(
                f"two handlers are called {handler.name!r}: {other.place} and {handler.place}. "
                'Give one of them another name: @app.task(name="…").'
            )
        self._handlers[handler.name] = handler

    def mapped(self, change: Callable[[Handler], Handler]) -> Registry:
        """A registry of the same handlers, each as *change* makes it."""
        changed = Registry()
        for handler in self:
            changed.add(change(handler))
        return changed

    def get(self, name: str) -> Handler | None:
        """Return the handler of tasks called *name*."""
        return self._handlers.get(name)

    def suggestion(self, name: str) -> str:
        """Return `` Did you mean …?`` for a name that nobody registered, or nothing.

        For an old or a new version of a task that is registered it says which ones are.
        """
        wanted, version = split_version(name)
        versions = [known for known in map(split_version, self._handlers) if known[0] == wanted]
        if versions:
            have = " and ".join(str(number) for _, number in sorted(versions))
            return f" That is version {version} of {wanted!r}; here is {have}."
        return nearest(name, self._handlers)

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    def __len__(self) -> int:
        return len(self._handlers)
