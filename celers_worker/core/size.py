"""Sizes of memory as people write them: ``"512MB"``, ``"1.5GiB"``, or a number of bytes."""

from __future__ import annotations

import re
from typing import TypeAlias

from celers_worker.core.errors import ConfigurationError

Size: TypeAlias = int | str

#: Less than an interpreter needs, and more than any machine has.
SMALLEST, LARGEST = 1 << 20, 1 << 50

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{unit}b": 1_000**power for power, unit in enumerate("kmgt", 1)},
    **{f"{unit}ib": 1_024**power for power, unit in enumerate("kmgt", 1)},
}
_WHOLE = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*([kmgt]?i?b|)", re.ASCII | re.IGNORECASE)


def parse_size(value: object, *, name: str = "size") -> int:
    """Read *value* as bytes; a number counts bytes.

    Raises ConfigurationError, calling the value *name*, unless it lies between 1 MiB and 1 PiB.
    """
    size = _bytes(value)
    if size is None:
        shown = repr(value)
        raise ConfigurationError(
            f"{name} is {shown if len(shown) <= 80 else shown[:79] + '…'}: write a number with a "
            'unit, such as "512MB" or "2GiB".'
        )
    if not SMALLEST <= size <= LARGEST:
        raise ConfigurationError(f"{name} is {value!r}: it must lie between 1MiB and 1PiB.")
    return size


def format_size(size: int) -> str:
    """Write *size* for people, and so that ``parse_size`` reads the same number again."""
    for unit in ("GB", "GiB", "MB", "MiB", "kB", "kiB"):
        factor = _UNITS[unit.lower()]
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def _bytes(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value if value.bit_length() < 64 else LARGEST + 1
        case str() if found := _WHOLE.fullmatch(value.strip()):
            number, unit = found.groups()
            factor = _UNITS.get(unit.lower())
            return None if factor is None else int(float(number) * factor)
        case _:
            return None
