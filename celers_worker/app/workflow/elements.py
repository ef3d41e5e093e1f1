"""What a workflow is built of: steps, chains, groups and graphs, nested in any way.

An element is a description and can be used again: each enqueue makes new tasks of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler
from celers_worker.core.names import nearest
from celers_worker.core.task import NewTask
from celers_worker.core.workflow import TOLERANCES, Policy

#: What an element returns. It is only ever read, so an element of int is one of float too.
R_co = TypeVar("R_co", covariant=True)


class _Declared(Protocol[R_co]):
    """A declared task, which stands for a step without arguments of its own."""

    def step(self, *args: Any, **kwargs: Any) -> Step[R_co]: ...


class _Called(Protocol[R_co]):
    """A call: all its arguments are given."""

    @property
    def task(self) -> NewTask: ...


@dataclass(frozen=True, slots=True)
class Dependency:
    """Which parts of a graph an element waits for, and what it is given of them.

    *into*: the parameter for their results, or the parameter for each of them.
    """

    names: tuple[str, ...]
    into: str | Mapping[str, str] | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Element(Generic[R_co]):
    """A part of a workflow."""

    dependencies: tuple[Dependency, ...] = field(default=(), kw_only=True)

    def depends_on(
        self,
        *names: str,
        into: str | Mapping[str, str] | None = None,
        if_failed: str | None = None,
    ) -> Self:
        """In a ``graph``: start when the parts with these names have ended.

        The result of one, or the list of several, is the first argument that is not given; *into*
        names the parameter, or with a mapping one for each part. *if_failed*: ``"fail"``,
        ``"skip"`` or ``"continue"``, see ``Step.if_failed``.
        """
        if not names:
            raise ConfigurationError("depends_on needs the names of other parts of the graph.")
        policy = None if if_failed is None else check_policy(if_failed)
        more = Dependency(names, into, policy)
        return replace(self, dependencies=(*self.dependencies, more))


@dataclass(frozen=True, slots=True)
class Step(Element[R_co]):
    """One task of a workflow. Without *handler* nothing is known of its parameters."""

    task: NewTask
    handler: Handler | None = None
    parameter: str | None = None
    passes: bool = True
    policy: Policy | None = None
    error_step: Step[Any] | None = None

    def into(self, parameter: str | None) -> Step[R_co]:
        """Give the result of what comes before to this *parameter*; None: it is not passed on.

        Else it is the first parameter that has no argument yet.
        """
        return replace(self, parameter=parameter, passes=parameter is not None)

    def if_failed(self, policy: str) -> Step[R_co]:
        """What becomes of this step if one before it does not complete.

        ``"fail"``: it never runs, and the workflow fails. ``"skip"``: it runs, without that result.
        ``"continue"``: it runs, with None in its place.
        """
        return replace(self, policy=check_policy(policy))

    def on_error(self, part: Part[Any]) -> Step[R_co]:
        """Run *part* if this step fails for good, with a dict of id, name, state and error."""
        step = as_element(part)
        if not isinstance(step, Step):
            raise ConfigurationError("on_error takes a single step.")
        return replace(self, error_step=step)


@dataclass(frozen=True, slots=True)
class Chain(Element[R_co]):
    """Elements one after the other; each is given what the one before returned."""

    elements: tuple[Element[Any], ...]


@dataclass(frozen=True, slots=True)
class Group(Element[list[R_co]], Generic[R_co]):
    """Elements side by side; together they return the list of their results, in their order."""

    elements: tuple[Element[R_co], ...]


@dataclass(frozen=True, slots=True)
class Graph(Element[dict[str, Any]]):
    """Elements by name, each after those it depends on; the last ones' results by name."""

    elements: Mapping[str, Element[Any]]


#: What the builders take: elements, ``task.call(…)``, or a declared task by itself.
Part: TypeAlias = Element[R_co] | _Declared[R_co] | _Called[R_co]


def chain(*parts: Part[Any]) -> Chain[Any]:
    """One after the other: each gets the result of the one before; returns the last one's."""
    if not parts:
        raise ConfigurationError("a chain needs at least one step.")
    return Chain(tuple(map(as_element, parts)))


def group(*parts: Part[R_co]) -> Group[R_co]:
    """Side by side; returns the list of their results, in this order."""
    return Group(tuple(map(as_element, parts)))


def chord(header: Group[Any] | Iterable[Part[Any]], body: Part[R_co]) -> Element[R_co]:
    """The *header* side by side, then the *body* with the list of their results."""
    before = header if isinstance(header, Group) else group(*header)
    return Chain((before, as_element(body)))


def graph(parts: Mapping[str, Part[Any]]) -> Graph:
    """Any order without circles: parts by name, each says what it ``depends_on``."""
    return Graph({name: as_element(part) for name, part in parts.items()})


def as_element(part: Part[R_co]) -> Element[R_co]:
    """*part* as an element. Raises ConfigurationError for anything else."""
    if isinstance(part, Element):
        return part
    task = getattr(part, "task", None)
    if isinstance(task, NewTask):
        return Step(task, passes=False)
    step = getattr(part, "step", None)
    if callable(step) and isinstance(found := step(), Step):
        return found
    raise ConfigurationError(
        f"{part!r} is no part of a workflow: pass task.call(…), task.step(…), the task itself, or "
        "a chain, group, chord or graph."
    )


def check_policy(text: object) -> Policy:
    """Return a policy that a producer may choose, or raise ConfigurationError."""
    names = [policy.value for policy in TOLERANCES]
    if text in names:
        return Policy(text)
    hint = nearest(text, names) if isinstance(text, str) else ""
    raise ConfigurationError(
        f"if_failed is {text!r}: it must be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}."
        f"{hint}"
    )
