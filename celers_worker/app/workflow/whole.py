"""A workflow as a whole, ready to be enqueued."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Generic, TypeVar

from celers_worker.app.client import Client
from celers_worker.app.workflow.elements import Element, Part, Step, as_element
from celers_worker.app.workflow.handle import EnqueuedWorkflow
from celers_worker.app.workflow.planning import Plan
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.options import check_timeout
from celers_worker.core.payload import check_text
from celers_worker.core.task import new_id
from celers_worker.core.workflow import NewWorkflow

R = TypeVar("R")
_LONGEST_NAME = 255


class Workflow(Generic[R]):
    """An element with a name, a deadline and what happens if it fails."""

    def __init__(
        self,
        client: Client,
        element: Part[R],
        *,
        name: str = "",
        timeout: Duration | None = None,
        on_error: Part[Any] | None = None,
        session: Any = None,
    ) -> None:
        self._client = client
        self._element: Element[R] = as_element(element)
        self._name = _check_name(name)
        self._timeout: timedelta | None = check_timeout(timeout)
        self._on_error = None if on_error is None else as_element(on_error)
        self._session = session
        if self._on_error is not None and not isinstance(self._on_error, Step):
            raise ConfigurationError("on_error takes a single step.")

    def using(self, session: Any) -> Workflow[R]:
        """The same workflow, enqueued in the caller's own transaction: both commit, or neither.

        *session*: a SQLAlchemy Session, AsyncSession, Connection or AsyncConnection.
        """
        return Workflow(
            self._client,
            self._element,
            name=self._name,
            timeout=self._timeout,
            on_error=self._on_error,
            session=session,
        )

    def planned(self) -> NewWorkflow:
        """The tasks and edges that an enqueue would add, with new ids each time.

        Raises ConfigurationError or PayloadError if something of it cannot be.
        """
        plan = Plan()
        workflow_id = new_id()
        end = plan.add(self._element)
        if isinstance(self._on_error, Step):
            plan.add_for_error(self._on_error, workflow_id)
        planned = NewWorkflow(
            id=workflow_id,
            name=self._name,
            steps=plan.steps,
            edges=plan.edges,
            result=end.value,
            timeout=self._timeout,
        )
        planned.check()
        return planned

    async def enqueue(self) -> EnqueuedWorkflow[R]:
        """Add all of it, or nothing, and return a handle on it."""
        planned = self.planned()
        await self._client.enqueue_workflow(planned, self._session)
        return EnqueuedWorkflow(planned.id, _client=self._client)

    def enqueue_sync(self) -> EnqueuedWorkflow[R]:
        """``enqueue`` without an event loop."""
        planned = self.planned()
        self._client.enqueue_workflow_sync(planned, self._session)
        return EnqueuedWorkflow(planned.id, _client=self._client)


def _check_name(name: object) -> str:
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or name != name.strip():
        raise ConfigurationError(
            f"name is {name!r}: it must be text of at most {_LONGEST_NAME} characters, without "
            "blanks at its ends."
        )
    check_text(name, "name")
    return name
