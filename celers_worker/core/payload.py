"""Arguments and results as JSON, the same on every database.

What is refused is refused here, before any SQL: what is not JSON, NaN and Infinity, NUL (which
PostgreSQL cannot hold in JSON), lone surrogates (which are no Unicode), keys that are not text,
nesting deeper than 30 levels, and more bytes than the limit, by default 1 MiB. Every error names
the place: ``args.user[3]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from celers_worker.core.errors import PayloadError

SIZE_LIMIT = 1024 * 1024
DEPTH_LIMIT = 30
_ALWAYS_JSON = frozenset({int, bool, type(None)})
#: The settings that raise the limits, by what is too large.
_SETTINGS = {"args": "limits.arguments", "result": "limits.result"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")


def encode_arguments(arguments: Mapping[str, object], *, limit: int = SIZE_LIMIT) -> bytes:
    """Encode keyword arguments. Raises PayloadError; on it nothing has been written."""
    return encode_checked(arguments, "args", limit=limit)


def encode_result(value: object, *, limit: int = SIZE_LIMIT) -> bytes:
    """Encode what a handler returned. Raises PayloadError."""
    return encode_checked(value, "result", limit=limit)


def check_json(value: object, name: str) -> None:
    """Raise PayloadError if *value*, called *name*, is not JSON that every database can hold."""
    encode_checked(value, name, limit=SIZE_LIMIT)


def check_text(text: str, name: str) -> None:
    """Raise PayloadError if *text*, called *name*, holds NUL or a lone surrogate."""
    _check_text(text, lambda: name)


def decode(payload: bytes | str) -> Any:
    """Decode JSON. Raises PayloadError with the position of the fault."""
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"the payload is not JSON: {error}") from None


def decode_arguments(payload: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Decode a payload into positional and keyword arguments.

    Ours are an object of keyword arguments; others write an array of positional arguments, ``null``
    for none, or a single value. Bytes that are not JSON at all arrive as one bytes argument (the
    row contract of CeleRS 0.2). ``{"args": [], "kwargs": {}}`` is for the handler to understand.
    """
    try:
        value = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [payload], {}
    if type(value) is dict:
        return [], value
    match value:
        case None:
            return [], {}
        case list():
            return value, {}
        case _:
            return [value], {}


def encode_checked(value: object, root: str, *, limit: int) -> bytes:
    """Encode *value*, called *root*, as JSON that every database can hold. Raises PayloadError."""
    _check(value, lambda: root, 0)
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise PayloadError(f"{root} cannot be stored as JSON: {error}") from None
    check_size(encoded, root, limit=limit, form=" as JSON")
    return encoded


def check_size(encoded: bytes, root: str, *, limit: int, form: str = "") -> None:
    """Raise PayloadError if *encoded*, called *root*, has more than *limit* bytes."""
    if len(encoded) > limit:
        setting = f", or raise {_SETTINGS[root]}" if root in _SETTINGS else ""
        raise PayloadError(
            f"{root} takes {len(encoded):,} bytes{form}, more than the limit of {limit:,}. "
            f"Store the data elsewhere and pass a reference to it{setting}."
        )


def _check(value: object, path: Callable[[], str], depth: int) -> None:
    """Refuse what JSON or one of the databases cannot hold; *path* is only called to tell."""
    kind = type(value)
    if kind is str:
        _check_text(value, path)  # type: ignore[arg-type]  # the type was just compared
    elif kind in _ALWAYS_JSON:
        return
    elif kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]  # the type was just compared
            raise PayloadError(f"{path()} is {value}: JSON has no NaN and no Infinity.")
    elif depth >= DEPTH_LIMIT:
        raise PayloadError(
            f"{path()} is nested deeper than {DEPTH_LIMIT} levels, or contains itself."
        )
    elif isinstance(value, dict):
        _check_object(value, path, depth)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, partial(_item_of, path, index), depth + 1)
    elif isinstance(value, (str, int, float)):
        _check_subclass(value, path, depth)
    else:
        raise PayloadError(
            f"{path()} is a {kind.__name__}, which is not JSON: pass text, numbers, booleans, "
            "None, lists and dicts with text keys."
        )


def _check_object(value: dict[object, object], path: Callable[[], str], depth: int) -> None:
    for key, item in value.items():
        if type(key) is not str:
            raise PayloadError(f"{path()} has the key {key!r}: keys of a JSON object are text.")
        _check_text(key, lambda: f"a key of {path()}")
        if type(item) not in _ALWAYS_JSON:  # first, for there are many
            _check(item, partial(_member_of, path, key), depth + 1)


def _item_of(path: Callable[[], str], index: int) -> str:
    return f"{path()}[{index}]"


def _member_of(path: Callable[[], str], key: str) -> str:
    return f"{path()}.{key}"


def _check_subclass(value: object, path: Callable[[], str], depth: int) -> None:
    """Let an enum of text or numbers pass as its value; other subclasses are not what they seem."""
    plain = getattr(value, "value", None)
    if type(plain) not in (str, int, float):
        raise PayloadError(
            f"{path()} is a {type(value).__name__}, which is not JSON: convert it first."
        )
    _check(plain, path, depth)


def _check_text(text: str, path: Callable[[], str]) -> None:
    found = None if text.isascii() and "\0" not in text else _FORBIDDEN.search(text)
    if found:
        what = "NUL" if found[0] == "\0" else f"the lone surrogate U+{ord(found[0]):04X}"
        raise PayloadError(
            f"{path()} contains {what} at position {found.start()}, which no database can hold."
        )
