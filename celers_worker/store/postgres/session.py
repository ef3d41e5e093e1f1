"""Settings of a session that a URL asks for, as libpq has them: ``?options=-csearch_path%3Dwork``.

psycopg hands them to libpq as they are; asyncpg knows no ``options``, only settings by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import URL

from celers_worker.core.errors import ConfigurationError

_KEY = "options"
#: One setting: ``-c name=value`` or ``--name=value``, where a backslash keeps a blank.
_SETTING = re.compile(r"(?:-c\s*|--)(?P<name>[\w.-]+)=(?P<value>(?:\\.|[^\s\\])*)\s*")


def settings_of(url: URL) -> dict[str, str]:
    """The settings by name. Raises ConfigurationError if they cannot be read."""
    given = url.query.get(_KEY, "")
    text = (given if isinstance(given, str) else " ".join(given)).strip()
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        setting = _SETTING.match(text, at)
        if setting is None:
            raise ConfigurationError(
                "options in database.url cannot be read: write -cNAME=VALUE, percent-encoded, as "
                "in ?options=-csearch_path%3Dwork"
            )
        name = setting["name"].replace("-", "_")
        found[name] = re.sub(r"\\(.)", r"\1", setting["value"])
        at = setting.end()
    return found


def without_settings(url: URL) -> URL:
    """*url* without what ``settings_of`` has read."""
    return url.difference_update_query([_KEY])


def with_settings(url: URL, settings: Mapping[str, str]) -> URL:
    """*url* asking for *settings* too."""
    return url.update_query_dict({_KEY: as_options({**settings_of(url), **settings})})


def as_options(settings: Mapping[str, str]) -> str:
    """*settings* as libpq reads them."""
    escaped = {name: re.sub(r"([ \\])", r"\\\1", value) for name, value in settings.items()}
    return " ".join(f"-c{name}={value}" for name, value in escaped.items())
