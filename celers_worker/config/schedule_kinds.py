"""How the settings of a schedule are read, checked and written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from celers_worker.config.kinds import Kind, Span, quoted
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import check_task_name


class YesNo(Kind, frozen=True):
    """True or false."""

    def parse(self, text: str) -> object:
        """Return the truth value, or *text* itself for check to refuse."""
        return {"true": True, "false": False}.get(text.strip().lower(), text)

    def check(self, value: object, key: str) -> bool:
        """Return *value* if it is one."""
        if isinstance(value, bool):
            return value
        raise ConfigurationError(f"{key} is {quoted(value)}: write true or false, without quotes.")


class TaskName(Kind, frozen=True):
    """The name of a task."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if a task may be called so."""
        return _named(check_task_name, value, key)


class CronExpression(Kind, frozen=True):
    """A cron expression that fires some day."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if it can be read."""
        from celers_worker.core.cron import Cron  # most configurations have none

        try:
            return Cron(value).expression  # type: ignore[arg-type]  # it refuses what is no text
        except ConfigurationError as error:
            problems = (problem.replace("cron", key, 1) for problem in error.problems)
            raise ConfigurationError(*problems) from None


class Zone(Kind, frozen=True):
    """An IANA time zone that this host knows."""

    def check(self, value: object, key: str) -> str:
        """Return *value* if there is such a zone."""
        from celers_worker.core.cron import zone_of

        try:
            return zone_of(value).key
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace("timezone", key, 1)) from None


class Interval(Span, frozen=True):
    """A whole number of seconds, from one."""

    def check(self, value: object, key: str) -> timedelta:
        """Return *value* as a timedelta."""
        from celers_worker.core.timing import Every

        try:
            return Every(Span.check(self, value, key)).interval
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace("every is", f"{key} is", 1)) from None


class Arguments(Kind, frozen=True):
    """A table of arguments by name, of what JSON can hold."""

    def read(self, value: object, key: str) -> Mapping[str, Any]:
        """Return *value* if it can be stored; a URL may be an argument."""
        return self.check(value, key)

    def check(self, value: object, key: str) -> Mapping[str, Any]:
        """Return *value* if it can be stored."""
        from celers_worker.core.errors import PayloadError
        from celers_worker.core.payload import check_json

        if not isinstance(value, dict):
            raise ConfigurationError(
                f'{key} is {quoted(value)}: write a table, such as {{ kind = "daily" }}.'
            )
        try:
            check_json(value, key)
        except PayloadError as error:
            raise ConfigurationError(str(error)) from None
        return value

    def write(self, value: Mapping[str, Any]) -> str:
        """Return the names alone: the values may be secrets."""
        return "{ " + ", ".join(f"{_key(name)} = …" for name in value) + " }"


def _key(name: str) -> str:
    return name if name.isidentifier() else msgspec.json.encode(name).decode()


def _named(check: Any, value: object, key: str) -> str:
    try:
        name: str = check(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}: {error}") from None
    return name
