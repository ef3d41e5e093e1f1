"""Exceptions that a handler declares (``raises=``): their fields as JSON, and the exception again.

Nothing is imported by a name from a row and nothing is pickled: the class is one that the handler
declares where the result is asked for, or a subclass of it that is loaded there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from celers_worker.core.annotations import hints_of, plain_of
from celers_worker.core.errors import PayloadError
from celers_worker.core.payload import SIZE_LIMIT, encode_checked


class Fields(msgspec.Struct, frozen=True):
    """What an exception carries: its arguments and its attributes, as JSON.

    ``declared``: the name of the class in ``raises`` that it is one of.
    """

    declared: str
    args: Sequence[Any]
    attributes: Mapping[str, Any]


def type_name(kind: type[BaseException]) -> str:
    """``shop.errors.OutOfStock``; without the module for Python's own."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def fields_of(error: BaseException, declared: Sequence[type[Exception]]) -> bytes | None:
    """The fields of *error* as JSON if it is one of the *declared*; None if it is not.

    Attributes that are not JSON and cannot become it are left out. Never fails itself, whatever the
    exception's own attributes do: the task would be lost.
    """
    kind = next((kind for kind in declared if isinstance(error, kind)), None)
    if kind is None:
        return None
    try:
        return _encoded(error, kind)
    except Exception:  # the user's class; without its fields it is told all the same
        return None


def _encoded(error: BaseException, kind: type[Exception]) -> bytes:
    attributes = dict(_storable(_attributes(error)))
    args = list(dict(_storable(dict(enumerate(error.args)))).values())
    complete = len(args) == len(error.args)
    fields = Fields(type_name(kind), args if complete else (), attributes)
    try:
        return encode_checked(msgspec.to_builtins(fields), "error", limit=SIZE_LIMIT)
    except PayloadError:  # together they are too large
        return msgspec.json.encode(Fields(type_name(kind), (), {}))


def read_fields(data: bytes | None) -> Fields | None:
    """What ``fields_of`` wrote; None for nothing, and for what is not it."""
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Fields)
    except msgspec.MsgspecError:
        return None


def rebuilt(
    kind: str, message: str, fields: Fields, declared: Sequence[type[Exception]]
) -> Exception | None:
    """The exception of type *kind* with its *fields*; None if no such class is declared here.

    Its ``__init__`` is not called: its fields are what that had made of its arguments.
    """
    found = _class(kind, declared) or _class(fields.declared, declared)
    if found is None:
        return None
    try:
        error = found.__new__(found)
        error.args = tuple(fields.args) or (message,)
        hints = hints_of(found)
        for name, value in fields.attributes.items():
            setattr(error, name, _as_annotated(value, hints.get(name, Any)))
    except Exception:  # a class with rules of its own: then it is told as any other error
        return None
    return error


def _attributes(error: BaseException) -> dict[str, Any]:
    slots = {
        name: getattr(error, name)
        for kind in type(error).__mro__
        for name in _names(getattr(kind, "__slots__", ()))
        if not name.startswith("__") and hasattr(error, name)
    }
    return slots | vars(error)


def _names(slots: str | Sequence[str]) -> Sequence[str]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _storable(items: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The items whose values can become JSON, so."""
    for name, value in items.items():
        try:
            plain = plain_of(value, str(name))
            encode_checked(plain, str(name), limit=SIZE_LIMIT)
        except PayloadError:
            continue
        yield name, plain


def _class(name: str, declared: Sequence[type[Exception]]) -> type[Exception] | None:
    """The declared class of this name, or else of the same name in another module.

    A program's own module is called ``__main__``, and something else where others import it.
    """
    known = list(dict.fromkeys(_with_subclasses(declared)))
    exact = [kind for kind in known if type_name(kind) == name]
    alike = [kind for kind in known if name.endswith(f".{kind.__qualname__}")]
    return next(iter(exact), alike[0] if len(alike) == 1 else None)


def _with_subclasses(kinds: Sequence[type[Exception]]) -> Iterator[type[Exception]]:
    for kind in kinds:
        yield kind
        yield from _with_subclasses(kind.__subclasses__())


def _as_annotated(value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint, str_keys=True)
    except (msgspec.MsgspecError, TypeError):
        return value
