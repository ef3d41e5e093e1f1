"""Codecs: other forms of arguments and results than JSON, for one handler. Never pickle.

    codec="raw"     bytes as they are: of the handler's only argument, and of its result
    codec=MINE      an object of yours: name, encode(value) -> bytes, decode(bytes) -> value

A codec of yours is given the arguments as a dict by name, and the result as it is. What its values
are is its own affair: annotations are not checked.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, TypeAlias

from celers_worker.core.errors import ConfigurationError, PayloadError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+\-]{0,63}", re.ASCII)


class Codec(Protocol):
    """What turns values into bytes and back.

    ``name`` is stored beside a result, so that nobody mistakes it for JSON.
    """

    name: str

    def encode(self, value: Any, /) -> bytes:
        """Turn a value into bytes."""

    def decode(self, data: bytes, /) -> Any:
        """Turn bytes back into the value."""


class RawBytes:
    """Bytes as they are."""

    name = "raw"

    def encode(self, value: Any, /) -> bytes:
        """The same bytes. Raises PayloadError for anything else."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise PayloadError(f"a {type(value).__name__} is not bytes, as the codec 'raw' wants.")

    def decode(self, data: bytes, /) -> Any:
        """The bytes."""
        return data


#: What ``@app.task(codec=…)`` takes; None is JSON.
CodecChoice: TypeAlias = "Codec | str | None"
RAW = RawBytes()


def check_codec(value: object) -> Codec | None:
    """Return the codec that is meant, or raise ConfigurationError."""
    match value:
        case None | "json":
            return None
        case "raw":
            return RAW
    name = getattr(value, "name", None)
    whole = callable(getattr(value, "encode", None)) and callable(getattr(value, "decode", None))
    if whole and isinstance(name, str) and _NAME.fullmatch(name) and name != "json":
        return value  # type: ignore[return-value]  # it has all that a Codec has
    raise ConfigurationError(
        f'codec is {value!r}: it must be "json", "raw", or an object with a name (such as '
        '"msgpack"), encode(value) and decode(bytes).'
    )


def encoded(codec: Codec, value: Any, root: str) -> bytes:
    """*value* as bytes. Raises PayloadError, whatever the codec raises, calling it *root*."""
    try:
        data = codec.encode(value)
    except PayloadError as error:
        raise PayloadError(f"{root}: {error}") from None
    except Exception as error:  # the user's codec
        raise PayloadError(
            f"{root} cannot be stored: the codec {codec.name!r} raised {type(error).__name__}: "
            f"{error}"
        ) from error
    if not isinstance(data, bytes):
        raise PayloadError(f"{root}: the codec {codec.name!r} made no bytes of it.")
    return data


def decoded(codec: Codec, data: bytes, root: str) -> Any:
    """The value in *data*. Raises PayloadError, whatever the codec raises, calling it *root*."""
    try:
        return codec.decode(data)
    except Exception as error:  # the user's codec
        raise PayloadError(
            f"{root} cannot be read: the codec {codec.name!r} raised {type(error).__name__}: "
            f"{error}"
        ) from error
