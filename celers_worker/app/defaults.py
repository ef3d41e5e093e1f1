"""Defaults: a set of declarations that several tasks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from celers_worker.core.backoff import Backoff
from celers_worker.core.circuit import Circuit
from celers_worker.core.codec import CodecChoice
from celers_worker.core.duration import Duration
from celers_worker.core.handler import Executor
from celers_worker.core.size import Size

if TYPE_CHECKING:
    from celers_worker.app.celers import Celers
    from celers_worker.app.declaring import TaskDecorator


class Declarations(TypedDict, total=False):
    """What ``Celers.task`` takes, without the name."""

    queue: str
    priority: int
    max_retries: int
    timeout: Duration | None
    soft_timeout: Duration | None
    backoff: Backoff | str | None
    retry_on: type[BaseException] | Iterable[type[BaseException]] | None
    dead_on: type[BaseException] | Iterable[type[BaseException]]
    backoff_on: Mapping[type[BaseException], Backoff | str] | None
    concurrency: int | None
    circuit: Circuit | int | None
    runs: Executor | None
    memory: Size | None
    permit: Callable[..., Any] | None
    version: int
    raises: type[BaseException] | Iterable[type[BaseException]]
    result_ttl: Duration | None
    codec: CodecChoice
    schedule: str | None
    every: Duration | None
    timezone: str | None


class Defaults:
    """Declares tasks as ``Celers.task`` does, with these declarations unless they say otherwise."""

    def __init__(self, app: Celers, given: Declarations) -> None:
        self._app = app
        self._given = given

    def task(self, *, name: str | None = None, **changes: Unpack[Declarations]) -> TaskDecorator:
        """Declare a handler; what is given here wins."""
        return self._app.task(name=name, **(self._given | changes))

    def defaults(self, **changes: Unpack[Declarations]) -> Defaults:
        """These declarations with *changes*."""
        return Defaults(self._app, self._given | changes)
