"""How one setting is read, checked and written. Every message holds what to write instead."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec

from celers_worker.config.url import redact_url, url_problems
from celers_worker.core.backoff_text import parse_backoff
from celers_worker.core.duration import format_duration, parse_duration
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import check_queue_name, nearest
from celers_worker.core.size import format_size, parse_size

MAX_PERMITS = 100_000
LONGEST_TEXT = 1_000


class Kind(msgspec.Struct, frozen=True):
    """What values a setting can have. A Struct: eight dataclasses cost 4 ms at every import."""

    def parse(self, text: str) -> object:
        """Return what TOML would have given for *text*, which is a variable's or a flag's."""
        return text

    def read(self, value: object, key: str) -> Any:
        """Return *value* as the program uses it; raises ConfigurationError with sentences."""
        # A URL in the wrong place may hold a password, which no message should repeat.
        if isinstance(value, str) and ("://" in value or len(value) > LONGEST_TEXT):
            raise ConfigurationError(
                f"{key} holds a URL, or more than {LONGEST_TEXT} characters: it can be neither."
            )
        return self.check(value, key)

    def check(self, value: object, key: str) -> Any:
        """Return *value* as the program uses it; each kind has its own rules for *key*.

        Raises ConfigurationError with sentences.
        """
        return value

    def write(self, value: Any) -> str:
        """Return *value* as TOML, without its secrets."""
        return msgspec.json.encode(value).decode()


class Whole(Kind, frozen=True):
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def parse(self, text: str) -> object:
        """Return the number, or *text* itself for check to refuse."""
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text

    def check(self, value: object, key: str) -> int:
        """Return *value* if it is a number within the bounds."""
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        ):
            return value
        quotes = ", without quotes" if isinstance(value, str) and value.isdigit() else ""
        raise ConfigurationError(
            f"{key} is {quoted(value)}: write a whole number from {self.low} to {self.high}"
            f"{quotes}."
        )


class Span(Kind, frozen=True):
    """A duration, not under ``shortest``."""

    shortest: timedelta = timedelta(0)

    def check(self, value: object, key: str) -> timedelta:
        """Return *value* as a timedelta."""
        if not isinstance(value, timedelta | int | float | str):
            raise ConfigurationError(
                f'{key} is {quoted(value)}: write a number with a unit, such as "30s" or "5m".'
            )
        span = parse_duration(value, name=key)
        if span < self.shortest:
            raise ConfigurationError(
                f"{key} is {quoted(value)}: it must be at least {format_duration(self.shortest)}."
            )
        return span

    def write(self, value: timedelta) -> str:
        """Return *value* exactly; only what two units cannot hold is written in seconds."""
        text = format_duration(value)
        if parse_duration(text) != value:
            text = f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
        return f'"{text}"'


class Bytes(Kind, frozen=True):
    """An amount of memory: ``"512MB"``."""

    def check(self, value: object, key: str) -> int:
        """Return *value* in bytes."""
        return parse_size(value, name=key)

    def write(self, value: int) -> str:
        """Return *value* with its unit."""
        return f'"{format_size(value)}"'


class Variable(Kind, frozen=True):
    """The name of an environment variable."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if it can be one."""
        if isinstance(value, str) and re.fullmatch(
            r"[A-Za-z_][A-Za-z0-9_]{0,254}", value, re.ASCII
        ):
            return value
        raise ConfigurationError(
            f'{key} is {quoted(value)}: write names of environment variables, such as "AWS_REGION".'
        )


class Choice(Kind, frozen=True):
    """One of a few words, in any case."""

    words: tuple[str, ...]

    def check(self, value: object, key: str) -> str:
        """Return the word that *value* is."""
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in self.words:
            return word
        raise ConfigurationError(
            f"{key} is {quoted(value)}: write one of {', '.join(self.words)}."
            f"{nearest(word, self.words)}"
        )


class Text(Kind, frozen=True):
    """A line of 1 to 255 characters."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if it can be printed and stored."""
        if isinstance(value, str) and _is_line(value):
            return value
        raise ConfigurationError(
            f"{key} is {quoted(value)}: write 1 to 255 printable characters in quotes, "
            "no blank at an end."
        )


class Module(Kind, frozen=True):
    """The dotted name of a module; with ``attribute``, ``module:attribute`` or nothing too."""

    attribute: bool = False

    def check(self, value: object, key: str) -> str:
        """Return *value* if Python could import it."""
        if isinstance(value, str):
            if not value and self.attribute:
                return value
            parts = value.split(":", 1) if self.attribute else [value]
            if all(name.isidentifier() for part in parts for name in part.split(".")):
                return value
        form = "module or module:attribute" if self.attribute else "the name of a module"
        file = "a module's name has no '/' and no '.py'; " if str(value).endswith(".py") else ""
        raise ConfigurationError(
            f'{key} is {quoted(value)}: {file}write {form}, such as "shop.tasks".'
        )


class Strategy(Kind, frozen=True):
    """A backoff as text: ``exponential(2s, cap=1h)``."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if it names a strategy with its arguments."""
        if not isinstance(value, str):
            raise ConfigurationError(
                f'{key} is {quoted(value)}: write a backoff in quotes: "exponential(2s, cap=1h)".'
            )
        try:
            parse_backoff(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"{key}: {error}") from None
        return value


class QueueLimit(Kind, frozen=True):
    """A queue's name, or ``name:limit``."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if parse_queue can read it."""
        if not isinstance(value, str):
            raise ConfigurationError(f'{key} is {quoted(value)}: write a name in quotes: "emails".')
        try:
            parse_queue(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"{key}: {error}") from None
        return value


class QueueName(Kind, frozen=True):
    """A queue's name."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if a queue can be called so."""
        try:
            return check_queue_name(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"{key}: {error}") from None


class Each(Kind, frozen=True):
    """A list; as text, its items stand between commas."""

    item: Kind

    def parse(self, text: str) -> object:
        """Return the items. An empty text is an empty item: it was hardly meant as "all"."""
        return [self.item.parse(part.strip()) for part in text.split(",")]

    def check(self, value: object, key: str) -> tuple[Any, ...]:
        """Return the items, none twice; raises the problems of all of them."""
        if not isinstance(value, list | tuple):
            raise ConfigurationError(f'{key} is {quoted(value)}: write a list, as in ["one"].')
        problems: list[str] = []
        seen: set[str] = set()
        for item in value:
            try:
                name = str(self.item.read(item, key)).partition(":")[0]
            except ConfigurationError as error:
                problems += error.problems
                continue
            if name in seen:
                problems.append(f"{key} lists {quoted(name)} twice: remove one.")
            seen.add(name)
        if problems:
            raise ConfigurationError(*problems)
        return tuple(value)

    def write(self, value: tuple[Any, ...]) -> str:
        """Return the list on one line."""
        return f"[{', '.join(self.item.write(item) for item in value)}]"


class Url(Kind, frozen=True):
    """The database's URL. No message repeats it."""

    def read(self, value: object, key: str) -> str:
        """Return *value* if the store can open such a URL."""
        return self.check(value, key)

    def check(self, value: object, key: str) -> str:
        """Return *value* if the store can open such a URL."""
        if not isinstance(value, str):
            raise ConfigurationError(
                f'{key} is no text: write it in quotes: "sqlite:///celers.db".'
            )
        if problems := [f"{key} {problem}" for problem in url_problems(value)]:
            raise ConfigurationError(*problems)
        return value

    def write(self, value: str) -> str:
        """Return *value* with ``***`` for its password."""
        return Kind.write(self, redact_url(value))


def parse_queue(text: str) -> tuple[str, int | None]:
    """Read ``reports:4`` as a queue and its limit; without a limit, None.

    Raises ConfigurationError for a name no queue can have and a limit outside 1 to 100000.
    """
    name, colon, limit = text.partition(":")
    check_queue_name(name)
    if not colon:
        return name, None
    if not re.fullmatch(r"[0-9]{1,6}", limit) or not 1 <= int(limit) <= MAX_PERMITS:
        raise ConfigurationError(
            f"{quoted(text)}: after the colon, write how many tasks of the queue may run at once, "
            f"from 1 to {MAX_PERMITS}."
        )
    return name, int(limit)


def _is_line(text: str) -> bool:
    return 1 <= len(text) <= 255 and text.isprintable() and text == text.strip()


def quoted(value: object) -> str:
    """Return *value* for a message: short, on one line, without secrets."""
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 64:
            return "a huge number"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case str():
            text = repr(redact_url(value) if "://" in value else value)
        case _:
            text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
