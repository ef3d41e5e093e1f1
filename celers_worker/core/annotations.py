"""What annotations say of a function's parameters and of its result: read once, then only used.

Every type that msgspec knows will do (numbers, text, enums, dates, UUID, Decimal, Literal,
containers, dataclasses, TypedDict, msgspec.Struct …), and pydantic's models, which are recognised
without importing pydantic. What has no annotation, or one that only type checkers can resolve, is
plain JSON and stays as it is.
"""

from __future__ import annotations

import datetime
import decimal
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.payload import check_json, encode_checked

#: What JSON has no word for and msgspec writes as text. Compared with the annotation before that,
#: or a date would pass for a ``str``.
_LEAVES = (
    bytes,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    decimal.Decimal,
)
#: msgspec's names of the types whose values are JSON already.
_JSON = frozenset(
    {"AnyType", "NoneType", "BoolType", "IntType", "FloatType", "StrType", "ListType", "DictType"}
    | {"UnionType", "LiteralType"}
)
_FREE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """The parameters of one function: what may be passed, written, read and handed over."""

    def __init__(self, name: str, signature: inspect.Signature, hints: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for an annotation that no JSON can become."""
        self._name = name
        named = [one for one in signature.parameters.values() if one.kind not in _FREE]
        kinds = {one.name: _kind(name, one, hints.get(one.name, Any)) for one in named}
        self._loose = frozenset(one for one, kind in kinds.items() if kind is Any)
        self._names = frozenset(kinds)
        self._kinds = kinds
        self._struct: Any = msgspec.defstruct(
            "Arguments",
            [(one.name, kinds[one.name], _default(one)) for one in named],
            kw_only=True,
            forbid_unknown_fields=True,
        )
        self._is_json = all(_is_json(kind) for kind in kinds.values())
        self._decode = msgspec.json.Decoder(self._struct, dec_hook=_from_json).decode
        #: The names of those that may be given by place, in order.
        self.places = tuple(
            one.name for one in named if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        #: Whether a payload can be read in one step: all parameters have names.
        self.closed = len(named) == len(signature.parameters)

    def read(self, payload: bytes) -> dict[str, Any] | None:
        """The arguments in *payload*, checked, with the defaults of those that are missing.

        None: it is not our JSON object of arguments that fit; whoever asks looks why.
        """
        try:
            return msgspec.structs.asdict(self._decode(payload))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def converted(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """Decoded arguments by name as what the annotations say. Raises PayloadError."""
        given = {name: value for name, value in named.items() if name in self._names}
        filled = self._convert(given)
        return {**named, **{name: getattr(filled, name) for name in given}}

    def encoded(self, named: Mapping[str, Any], *, limit: int) -> bytes:
        """Arguments by name as JSON of at most *limit* bytes. Raises PayloadError."""
        if self._is_json and named.keys() <= self._names:
            try:
                msgspec.convert(named, self._struct)
            except msgspec.ValidationError:
                pass  # of an enum, say, which is JSON too: the long way tells
            else:
                return encode_checked(named, "args", limit=limit)
        return self._encoded_as_annotated(named, limit)

    def encoded_some(self, named: Mapping[str, Any], *, limit: int) -> bytes:
        """``encoded`` when some are missing yet: each that is there is checked by itself."""
        plain = self._plain(named)
        for name in plain.keys() & self._kinds.keys():
            try:
                msgspec.convert(plain[name], self._kinds[name], dec_hook=_from_json, str_keys=True)
            except (msgspec.ValidationError, RecursionError) as error:
                raise PayloadError(f"{self._name}: {_told(error, f'args.{name}')}.") from None
        return encode_checked(plain_of(plain, "args"), "args", limit=limit)

    def _encoded_as_annotated(self, named: Mapping[str, Any], limit: int) -> bytes:
        plain = self._plain(named)
        self._convert({name: value for name, value in plain.items() if name in self._names})
        return encode_checked(plain_of(plain, "args"), "args", limit=limit)

    def _plain(self, named: Mapping[str, Any]) -> dict[str, Any]:
        plain = {}
        for name, value in named.items():
            if name in self._loose or name not in self._names:
                check_json(value, f"args.{name}")
                plain[name] = value
            else:
                plain[name] = plain_of(value, f"args.{name}", leaves=_LEAVES)
        return plain

    def _convert(self, given: Mapping[str, Any]) -> Any:
        try:
            return msgspec.convert(given, self._struct, dec_hook=_from_json, str_keys=True)
        except (msgspec.ValidationError, RecursionError) as error:
            raise PayloadError(f"{self._name}: {_told(error, 'args')}.") from None


class Result:
    """What a function is annotated to return."""

    def __init__(self, name: str, hints: Mapping[str, Any]) -> None:
        kind = hints.get("return", Any)
        # One that returns None may still give a result, by ``context.complete``.
        kind = Any if kind in (object, None, type(None)) else kind
        self._name = name
        # What can never be stored fails when it is returned, with the value at hand.
        self._kind = Any if not _is_known(kind) else kind
        self.is_json = _is_json(self._kind)

    def converted(self, value: Any) -> Any:
        """A stored result, decoded, as the annotation says. Raises PayloadError if it does not fit.

        It may not, for annotations are not checked when a handler returns: the work was done.
        """
        try:
            return msgspec.convert(value, self._kind, dec_hook=_from_json, str_keys=True)
        except (msgspec.ValidationError, RecursionError) as error:
            raise PayloadError(
                f"{self._name} is annotated to return something else than it returned: "
                f"{_told(error, 'result')}."
            ) from None


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of *function* that can be resolved here, by name, and ``return``."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # an annotation is evaluated: it may do anything
        pass  # one of them is for type checkers only: the others are still worth having
    written = getattr(inspect.unwrap(function), "__annotations__", {})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    found: dict[str, Any] = {}
    for name, annotation in written.items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            found |= typing.get_type_hints(alone, globalns=names, include_extras=True)
        except Exception:  # as above
            continue
    return found


def plain_of(value: Any, path: str, *, leaves: tuple[type, ...] = ()) -> Any:
    """*value* as what JSON has, but for *leaves*. Raises PayloadError, calling it *path*."""
    try:
        return msgspec.to_builtins(
            value, builtin_types=leaves, str_keys=not leaves, enc_hook=_to_json
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"{path} cannot be stored as JSON: {error}") from None


def _kind(name: str, parameter: inspect.Parameter, hint: Any) -> Any:
    """The type of a parameter as msgspec can check it."""
    if hint is object:
        return Any
    if parameter.default is None and hint is not Any:
        hint = hint | None if not isinstance(hint, str) else Any
    if _is_known(hint):
        return hint
    raise ConfigurationError(
        f"{name}: the parameter {parameter.name!r} is annotated {_spelled(hint)}, which no JSON "
        "can become. Use a dataclass, a msgspec.Struct, a pydantic model or one of Python's own "
        "types such as list[int]; or Any, for JSON as it is."
    )


def _default(parameter: inspect.Parameter) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return msgspec.NODEFAULT
    # By a factory, for the function is to get this very object, as if it had been called.
    return msgspec.field(default_factory=lambda: parameter.default)


def _is_known(hint: Any) -> bool:
    """Whether msgspec, with our hooks, can make values of this type."""
    try:
        kinds = list(_kinds_in(msgspec.inspect.type_info(hint), set()))
    except (TypeError, RecursionError):
        return False
    custom = [kind.cls for kind in kinds if isinstance(kind, msgspec.inspect.CustomType)]
    return all(cls is object or _is_pydantic(cls) for cls in custom)


def _is_json(hint: Any) -> bool:
    """Whether values of this type are JSON as they are: text, numbers, lists and dicts of it."""
    return all(
        type(kind).__name__ in _JSON
        and (not isinstance(kind, msgspec.inspect.DictType) or _has_text_keys(kind))
        for kind in _kinds_in(msgspec.inspect.type_info(hint), set())
    )


def _has_text_keys(kind: msgspec.inspect.DictType) -> bool:
    return isinstance(kind.key_type, (msgspec.inspect.StrType, msgspec.inspect.AnyType))


def _kinds_in(found: Any, seen: set[int]) -> Iterator[Any]:
    """*found*, msgspec's description of a type, and those of the types within it."""
    if id(found) in seen:
        return
    seen.add(id(found))
    if isinstance(found, (list, tuple)):
        for one in found:
            yield from _kinds_in(one, seen)
    elif isinstance(found, msgspec.inspect.Field):
        yield from _kinds_in(found.type, seen)
    elif isinstance(found, msgspec.inspect.Type):
        yield found
        for field in found.__struct_fields__:
            yield from _kinds_in(getattr(found, field), seen)


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_validate")


def _to_json(value: Any) -> Any:
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__name__} is not JSON")


def _from_json(kind: Any, value: Any) -> Any:
    return value if kind is object else kind.model_validate(value)


def _told(error: Exception, root: str) -> str:
    """What msgspec says, its ``$`` being *root*: ``args.user.age: expected `int`, got `str```."""
    words, _, place = str(error).partition(" - at ")
    path = place.replace("`", "").replace("key in ", "a key of ").replace("$", root, 1) or root
    # pydantic tells on several lines, the last one of each problem being an address.
    lines = [line.strip() for line in words.splitlines() if "errors.pydantic.dev" not in line]
    told = " ".join(lines)
    return f"{path}: {told[:1].lower()}{told[1:]}"


def _spelled(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
