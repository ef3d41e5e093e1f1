"""Handlers: the functions that run tasks, how they are called, and what they return."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from celers_worker.core import codec as codecs
from celers_worker.core.annotations import Parameters, Result, hints_of, plain_of
from celers_worker.core.codec import RAW, Codec
from celers_worker.core.context import Context
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.middleware import Around, Permit
from celers_worker.core.payload import (
    SIZE_LIMIT,
    check_size,
    decode,
    decode_arguments,
    encode_result,
)
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE

if TYPE_CHECKING:
    from celers_worker.core.circuit import Circuit

Executor: TypeAlias = Literal["async", "thread", "process"]

_CANVAS = frozenset({"args", "kwargs"})
_FREE = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function with what its tasks have by default."""

    name: str
    function: Callable[..., Any]
    runs: Executor
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    max_retries: int = DEFAULT_MAX_RETRIES
    timeout: timedelta | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int | None = None
    circuit: Circuit | None = None
    """When its tasks are held because nearly all fail; None: never."""
    soft_timeout: timedelta | None = None
    memory: int | None = None
    """Bytes that a run in a process of its own may use."""
    permit: Permit | None = None
    resources: Mapping[str, str] = field(default_factory=dict)
    """Parameters that a lifespan fills, each with the name of its resource."""
    around: Around | None = field(default=None, repr=False)
    """What this worker puts around the function; see ``services.surroundings``."""
    signature: inspect.Signature = field(repr=False)
    context_parameter: str | None = None
    codec: Codec | None = None
    """The form of arguments and results; None is JSON."""
    raises: tuple[type[Exception], ...] = ()
    """Exceptions that whoever waits for the result is given as they were."""
    result_ttl: timedelta | None = None
    """How long a result is kept; zero: not at all; None: as ``[retention] results`` says."""
    max_arguments: int = SIZE_LIMIT
    max_result: int = SIZE_LIMIT
    """Bytes of a payload, and of a result."""
    parameters: Parameters = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # see below
    result: Result = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # see below
    exact: frozenset[str] | None = field(init=False, repr=False)
    """The names of all parameters, if all may be given by name: then nothing needs binding."""

    def __post_init__(self) -> None:
        if self.parameters is None:  # a copy with other options has those of its original
            hints = hints_of(self.function)
            parameters = Parameters(self.name, self.signature, hints)
            object.__setattr__(self, "parameters", parameters)
            object.__setattr__(self, "result", Result(self.name, hints))
        simple = self.parameters.closed
        object.__setattr__(self, "exact", frozenset(self.signature.parameters) if simple else None)
        if self.codec is RAW and len(self.signature.parameters) != 1:
            raise ConfigurationError(
                f'{self.name}: with codec="raw" a handler has one parameter, the bytes, besides '
                f"its context; this one has {len(self.signature.parameters)}."
            )

    @property
    def place(self) -> str:
        """Where the function stands: ``module.py:12``, for messages."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        if code is None:
            return f"{self.function.__module__}.{self.name}"
        return f"{code.co_filename}:{code.co_firstlineno}"

    def encode_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The payload of a task with these arguments. Raises PayloadError if they do not fit."""
        named = self.check_arguments(args, kwargs)
        if self.codec is None:
            return self.parameters.encoded(named, limit=self.max_arguments)
        value = next(iter(named.values())) if self.codec is RAW else named
        payload = codecs.encoded(self.codec, value, "args")
        if not payload:
            raise PayloadError(f"{self.name}: args are no bytes at all, so nothing would be sent.")
        check_size(payload, "args", limit=self.max_arguments)
        return payload

    def decode_arguments(
        self, payload: bytes, context: Context
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call the function with. Raises PayloadError if the payload does not fit."""
        if self.codec is None:
            if self.exact is not None and (kwargs := self.parameters.read(payload)) is not None:
                if self.context_parameter is not None:
                    kwargs[self.context_parameter] = context
                return (), kwargs
            return self._call_arguments_as_annotated(payload, context)
        value = codecs.decoded(self.codec, payload, "args")
        if self.codec is RAW:
            return self.call_arguments([value], {}, context)
        if not isinstance(value, dict):
            raise PayloadError(
                f"args: the codec {self.codec.name!r} made a {type(value).__name__} of them, "
                "not a dict by name."
            )
        return self.call_arguments([], value, context)

    def encode_result(self, value: Any) -> bytes:
        """What the function returned as bytes. Raises PayloadError if they cannot be stored."""
        if self.codec is not None:
            data = codecs.encoded(self.codec, value, "result")
            check_size(data, "result", limit=self.max_result)
            return data
        if not self.result.is_json:
            value = plain_of(value, "result")
        return encode_result(value, limit=self.max_result)

    def decode_result(self, data: bytes | None) -> Any:
        """What ``encode_result`` made, as plain JSON has it. Raises PayloadError."""
        if data is None:
            return None
        return decode(data) if self.codec is None else codecs.decoded(self.codec, data, "result")

    def check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, as they travel. Raises PayloadError if they do not fit."""
        if self.exact is not None and len(args) + len(kwargs) == len(self.exact):
            if not args and kwargs.keys() == self.exact:
                return dict(kwargs)
            named: dict[str, Any] = dict(zip(self.parameters.places, args, strict=False))
            named.update(kwargs)
            if named.keys() == self.exact:  # so none of them was given twice
                return named
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise PayloadError(f"{self.name}{self.signature}: {error}.") from None
        return self._by_name(bound)

    def encode_some_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """``encode_arguments`` when some may be missing yet."""
        try:
            bound = self.signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise PayloadError(f"{self.name}{self.signature}: {error}.") from None
        return self.parameters.encoded_some(self._by_name(bound), limit=self.max_arguments)

    def call_arguments(
        self, args: list[Any], kwargs: dict[str, Any], context: Context
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Bind decoded arguments and the context. Raises PayloadError if they do not fit."""
        if not args and kwargs.keys() == self.exact:
            if self.context_parameter is not None:
                kwargs[self.context_parameter] = context
            return (), kwargs
        return self._with_context(self._bound(args, kwargs), context)

    def _call_arguments_as_annotated(
        self, payload: bytes, context: Context
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The long way: another producer's form of arguments, or a fault to be told."""
        bound = self._bound(*decode_arguments(payload))
        bound.arguments |= self.parameters.converted(bound.arguments)
        return self._with_context(bound, context)

    def _bound(self, args: list[Any], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        if not args and self._is_canvas(kwargs):
            args, kwargs = kwargs.get("args", []), kwargs.get("kwargs", {})
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise PayloadError(f"{self.name}{self.signature}: {error}.") from None

    def _with_context(
        self, bound: inspect.BoundArguments, context: Context
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.context_parameter is None:
            return bound.args, bound.kwargs
        given = {self.context_parameter: context}
        kinds = [self.signature.parameters[key].kind for key in bound.arguments]
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return bound.args, bound.kwargs | given
        # By name, for the context may stand in front of the others.
        return (), self._by_name(bound) | given

    def _is_canvas(self, document: Mapping[str, Any]) -> bool:
        """Whether *document* is what CeleRS's canvas writes, ``{"args": [], "kwargs": {}}``.

        One of the two may be missing, unless the handler takes any name. If it has a parameter of
        one of these names itself, they are its arguments.
        """
        if not document or not document.keys() <= _CANVAS:
            return False
        kinds = {name: one.kind for name, one in self.signature.parameters.items()}
        if any(name in _CANVAS and kind not in _FREE for name, kind in kinds.items()):
            return False
        takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values()
        return (
            (len(document) == len(_CANVAS) or not takes_any)
            and isinstance(document.get("args", []), list)
            and isinstance(document.get("kwargs", {}), dict)
        )

    def _by_name(self, bound: inspect.BoundArguments) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for key, value in bound.arguments.items():
            match self.signature.parameters[key].kind:
                case inspect.Parameter.VAR_KEYWORD:
                    named |= value
                case inspect.Parameter.VAR_POSITIONAL:
                    raise PayloadError(f"{self.name}: arguments travel by name, so *{key} cannot.")
                case _:
                    named[key] = value
        return named


def split_context(function: Callable[..., Any]) -> tuple[inspect.Signature, str | None]:
    """Return the signature that producers see, without the context, and the context's name."""
    signature = inspect.signature(function)
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # an annotation is evaluated: it may do anything
        # Names that only exist for type checkers cannot be resolved; the text will do.
        hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    found = [name for name in signature.parameters if _means_context(hints.get(name))]
    rest = [parameter for name, parameter in signature.parameters.items() if name not in found]
    for parameter in rest:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise ConfigurationError(
                f"{function.__qualname__}: the parameter {parameter.name!r} is positional-only, "
                "but arguments travel by name. Remove the '/'."
            )
    return signature.replace(parameters=rest), found[0] if found else None


def _means_context(hint: object) -> bool:
    """Whether an annotation is Context, its name, or Context | None."""
    options = {hint, *typing.get_args(hint)}
    return Context in options or str(hint).rsplit(".", 1)[-1] == "Context"
