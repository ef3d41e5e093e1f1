"""What is the same everywhere: leftovers erased, a place taken, held, given back."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from celers_worker.core.errors import CelersError, StoreError
from celers_worker.core.task import new_id
from celers_worker.store.base import StoreOptions

#: Before the id of a run, in the name of its place.
PREFIX = "celers_selftest_"
_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{32}}")


def is_name(text: str) -> bool:
    """Whether it is the name of a place: what is called otherwise is never erased."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tables may be made. ``url`` holds the password; ``told`` is for people."""

    url: str
    name: str
    told: str
    #: Sessions in it can be told from all others, so they may be ended without harm.
    sessions: bool


class Ground(ABC):
    """A server, or a folder, on which places are made."""

    def __init__(self, url: str, options: StoreOptions, *, here: bool) -> None:
        self.url = url
        self.options = options
        self.here = here

    @abstractmethod
    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else takes or erases places by the same URL meanwhile; connected in the block."""

    @abstractmethod
    def erase_left(self) -> None:
        """Erase every place that nobody holds, as far as that is allowed."""

    @abstractmethod
    def take(self, name: str, held: ExitStack) -> Place:
        """Make a place; *held* keeps what shows that it is in use."""

    @abstractmethod
    def erase(self, place: Place) -> None:
        """Erase *place*, whoever is connected to it. No error if it is gone."""


@contextmanager
def opened(ground: Ground) -> Iterator[Place]:
    """A place of *ground* for as long as the block takes."""
    with ExitStack() as held:
        with ground.alone():
            ground.erase_left()
            place = ground.take(f"{PREFIX}{new_id().hex}", held)
        try:
            yield place
        finally:
            try:
                held.close()
                with ground.alone():
                    ground.erase(place)
            except CelersError as error:
                raise StoreError(
                    f"{place.told} could not be erased; the next `celers selftest` does it. {error}"
                ) from error
