"""Planning: from elements to tasks and the edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, NoReturn
from uuid import UUID

from msgspec import structs

from celers_worker.app.workflow.elements import Chain, Element, Graph, Group, Step
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.handler import Handler
from celers_worker.core.names import nearest
from celers_worker.core.passing import leaves, skeleton
from celers_worker.core.payload import decode, encode_arguments
from celers_worker.core.task import NewTask, new_id
from celers_worker.core.workflow import Edge, Path, Policy, Value, in_order


@dataclass(frozen=True, slots=True)
class Source:
    """What comes before an element: the value it returns, and what else must have ended.

    *parameter*: where the value goes, if that was said. *policy*: if that was said here.
    """

    value: Value
    also: tuple[UUID, ...] = ()
    parameter: str | None = None
    policy: Policy | None = None

    @property
    def ids(self) -> tuple[UUID, ...]:
        """All that must have ended."""
        return (*(found for _, found in leaves(self.value)), *self.also)


class Plan:
    """The tasks and edges of a workflow, as they come to be."""

    def __init__(self) -> None:
        self.steps: list[NewTask] = []
        self.edges: list[Edge] = []

    def add(self, element: Element[Any], sources: Sequence[Source] = ()) -> Source:
        """Add *element* after *sources* and return what comes before the next one."""
        match element:
            case Step():
                return Source(self._add_step(element, sources))
            case Chain():
                for part in element.elements:
                    sources = [self._add_inner(part, sources)]
                return sources[0]
            case Group():
                return self._add_group(element, sources)
            case Graph():
                return self._add_graph(element, sources)
            case _:
                raise ConfigurationError(f"{element!r} is no part of a workflow.")

    def add_for_error(self, step: Step[Any], of: UUID) -> None:
        """Add a step that runs if *of*, a step or the whole workflow, fails."""
        self._add_step(step, [Source(of, policy=Policy.ON_FAILURE)])

    # --- elements of elements ---

    def _add_inner(self, element: Element[Any], sources: Sequence[Source]) -> Source:
        if element.dependencies:
            [*names] = element.dependencies[0].names
            raise ConfigurationError(
                f"a part depends on {', '.join(map(repr, names))}, but it is no part of a graph: "
                "in a chain it waits for the one before."
            )
        return self.add(element, sources)

    def _add_group(self, group: Group[Any], sources: Sequence[Source]) -> Source:
        if not group.elements:
            # Of nothing there is an empty list, but what follows still comes after what was before.
            return Source([], tuple(found for source in sources for found in source.ids))
        ends = [self._add_inner(part, sources) for part in group.elements]
        return Source([end.value for end in ends], tuple(one for end in ends for one in end.also))

    def _add_graph(self, graph: Graph, sources: Sequence[Source]) -> Source:
        needed = {
            name: [other for one in part.dependencies for other in one.names]
            for name, part in graph.elements.items()
        }
        ends: dict[str, Source] = {}
        for name in in_order(needed):
            part = graph.elements[name]
            before = _sources_of(name, part, ends) if part.dependencies else sources
            ends[name] = self.add(part, before)
        waited_for = {other for others in needed.values() for other in others}
        last = [name for name in graph.elements if name not in waited_for]
        return Source(
            {name: ends[name].value for name in last},
            tuple(one for name in last for one in ends[name].also),
        )

    # --- a step ---

    def _add_step(self, step: Step[Any], sources: Sequence[Source]) -> UUID:
        if step.task.unique_key is not None:
            raise ConfigurationError(
                f"{step.task.name}: a step of a workflow cannot have a unique key, for what waits "
                "for it could not wait for another task that has it."
            )
        if step.handler is not None and step.handler.codec is not None:
            raise ConfigurationError(
                f"{step.task.name}: a step of a workflow cannot have a codec, for results are "
                "passed on as JSON. Let it store its bytes elsewhere and return a reference."
            )
        task_id = new_id()
        arguments = _Arguments(step)
        edges: dict[UUID, Edge] = {}
        for source in sources:
            policy = source.policy or step.policy or Policy.FAIL
            base = arguments.place(source)
            paths = {found: path for path, found in leaves(source.value)}
            for parent in source.ids:
                if parent in edges:
                    raise ConfigurationError(f"{step.task.name} depends on one part twice.")
                passed = base is not None and parent in paths
                path = (*base, *paths[parent]) if base is not None and passed else None
                edges[parent] = Edge(parent, task_id, policy, path)
        self.steps.append(structs.replace(step.task, id=task_id, payload=arguments.payload()))
        self.edges += edges.values()
        if step.error_step is not None:
            self.add_for_error(step.error_step, task_id)
        return task_id


def _sources_of(name: str, part: Element[Any], ends: Mapping[str, Source]) -> list[Source]:
    """What an element of a graph waits for; several names without parameters are one list."""
    found = []
    for one in part.dependencies:
        separate = one.into if isinstance(one.into, Mapping) else {}
        for other, parameter in separate.items():
            if other not in one.names:
                raise ConfigurationError(
                    f"{name!r} takes {other!r} into {parameter!r}, but does not depend on it."
                    f"{nearest(other, one.names)}"
                )
            found.append(Source(ends[other].value, ends[other].also, parameter, one.policy))
        rest = [other for other in one.names if other not in separate]
        if rest:
            values = [ends[other].value for other in rest]
            also = tuple(late for other in rest for late in ends[other].also)
            parameter_of_rest = one.into if isinstance(one.into, str) else None
            value = values[0] if len(values) == 1 else values
            found.append(Source(value, also, parameter_of_rest, one.policy))
    return found


class _Arguments:
    """The arguments of a step, with places for the results it is given."""

    def __init__(self, step: Step[Any]) -> None:
        self._step = step
        self._named: dict[str, Any] = decode(step.task.payload)
        self._positional: list[Any] = []

    def place(self, source: Source) -> Path | None:
        """Make room for the value of *source*, and say where; None: it is not passed on."""
        parameter = source.parameter
        if parameter is None:
            if not self._step.passes:
                return None
            parameter = self._step.parameter
        handler = self._step.handler
        if parameter is None and handler is None:
            self._positional.append(skeleton(source.value))
            return ("args", len(self._positional) - 1)
        if parameter is None:
            parameter = self._first_free(handler)
            if parameter is None:
                return None
        self._check(parameter)
        self._named[parameter] = skeleton(source.value)
        return (parameter,)

    def payload(self) -> bytes:
        """The payload, complete but for the results. Raises PayloadError if more is missing."""
        handler = self._step.handler
        if handler is not None:
            missing = [
                name
                for name, parameter in _by_name(handler)
                if parameter.default is Parameter.empty and name not in self._named
            ]
            if missing:
                raise PayloadError(
                    f"{handler.name}{handler.signature}: the argument {missing[0]!r} is missing, "
                    "and no result of another step goes there."
                )
        if not self._positional:
            return encode_arguments(self._named)
        return encode_arguments({"args": self._positional, "kwargs": self._named})

    def _first_free(self, handler: Handler | None) -> str | None:
        names = [] if handler is None else [name for name, _ in _by_name(handler)]
        return next((name for name in names if name not in self._named), None)

    def _check(self, parameter: str) -> None:
        if parameter in self._named:
            self._refuse(f"the argument {parameter!r} is given, and a result goes there too.")
        handler = self._step.handler
        if handler is None:
            return
        known = [name for name, _ in _by_name(handler)]
        kinds = {one.kind for one in handler.signature.parameters.values()}
        if parameter not in known and Parameter.VAR_KEYWORD not in kinds:
            self._refuse(f"there is no parameter {parameter!r}.{nearest(parameter, known)}")

    def _refuse(self, problem: str) -> NoReturn:
        handler = self._step.handler
        shown = self._step.task.name if handler is None else f"{handler.name}{handler.signature}"
        raise PayloadError(f"{shown}: {problem}")


def _by_name(handler: Handler) -> Iterable[tuple[str, Parameter]]:
    wanted = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    parameters = handler.signature.parameters.items()
    return [(name, parameter) for name, parameter in parameters if parameter.kind in wanted]
