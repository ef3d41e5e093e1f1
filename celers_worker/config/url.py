"""Database URLs: what is wrong with one, and how to show it without its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from celers_worker.config.schemes import offered
from celers_worker.core.names import nearest

SCHEMES = (
    "sqlite",
    "postgresql",
    "postgresql+asyncpg",
    "postgresql+psycopg",
    "postgres",
    "mysql",
    "mysql+asyncmy",
    "mysql+pymysql",
    "mariadb",
    "mariadb+asyncmy",
    "mariadb+pymysql",
    "memory",
)
HIDDEN = "***"

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*)://", re.ASCII | re.IGNORECASE)
_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?", re.ASCII)
_MEMORY = re.compile(r"[a-z0-9_-]*", re.ASCII | re.IGNORECASE)
_RAW = re.compile(r"[@/?#\[\]\s]|%(?![0-9A-Fa-f]{2})", re.ASCII)
_SECRET_OPTION = re.compile(
    r"(\b\w*(?:pass(?:word|wd|phrase)?|pwd|secret|token)\s*=\s*)('[^']*'|[^&;\s]+)",
    re.ASCII | re.IGNORECASE,
)


def redact_url(url: str) -> str:
    """Return *url* with ``***`` for its password.

    Hides too much rather than too little if the URL is malformed or its password is not encoded.
    """
    scheme, rest = _split_scheme(url)
    start = url.removesuffix(rest)
    if scheme != "sqlite":
        rest = _redact_password(rest)
    return start + _SECRET_OPTION.sub(rf"\1{HIDDEN}", rest)


def has_password(url: str) -> bool:
    """Whether *url* holds a password, in its place or as an option."""
    scheme, rest = _split_scheme(url)
    if _SECRET_OPTION.search(rest):
        return True
    user, _, _ = rest.rpartition("@")
    return scheme != "sqlite" and bool(user.partition(":")[2])


def anchored_url(url: str) -> str:
    """Return *url* so that it names the same file wherever the process goes later."""
    scheme, rest = _split_scheme(url)
    path, mark, options = rest.partition("?")
    if scheme != "sqlite" or len(path) < 2 or path.startswith(("//", "/:", "/file:")):
        return url
    return f"sqlite:///{Path(path[1:]).absolute()}{mark}{options}"


def secrets_of(url: str) -> set[str]:
    """What *url* holds that nobody should read, as it is written there."""
    scheme, rest = _split_scheme(url)
    found = {secret.strip("'") for _, secret in _SECRET_OPTION.findall(rest)}
    user, at, _ = rest.rpartition("@")
    if scheme != "sqlite" and at and (password := user.partition(":")[2]):
        found.add(password)
    return found


def url_problems(url: str) -> Iterator[str]:
    """Yield what is wrong with *url*, as ends of a sentence about it that hold nothing secret."""
    if not url.strip():
        yield 'is empty: write a URL such as "sqlite:///celers.db" or leave it out.'
        return
    if not url.isprintable() or url != url.strip():
        yield "holds a control character, or a blank at an end: remove it."
        return
    scheme, rest = _split_scheme(url)
    if scheme is None:
        yield (
            'has no scheme: write "sqlite:///celers.db", "postgresql://user@host/database" or '
            '"mysql://user@host/database".'
        )
    elif scheme not in SCHEMES and offered(scheme):
        return  # what its URLs look like, its package knows
    elif scheme not in SCHEMES:
        hint = nearest(scheme.lower(), SCHEMES) or nearest(scheme.lower().split("+")[0], SCHEMES)
        yield f"has the unknown scheme {scheme[:40]!r}." + (hint or f" Use {', '.join(SCHEMES)}.")
    elif scheme == "sqlite":
        if rest and not rest.startswith("/"):
            yield 'needs a third slash before a relative path, as in "sqlite:///celers.db".'
    elif scheme == "memory":
        if not _MEMORY.fullmatch(rest):
            yield "has no name for a database in memory: letters, digits, - and _, or nothing."
    else:
        yield from _server_problems(rest)


def _server_problems(rest: str) -> Iterator[str]:
    user, _, address = rest.rpartition("@")
    if _RAW.search(user):
        yield (
            "has a special character as it is in its user name, password or options: "
            "percent-encode it (@ is %40, / is %2F, ? is %3F, # is %23, % is %25)."
        )
        return
    host = _HOST.fullmatch(re.split(r"[/?#]", address, maxsplit=1)[0])
    if host is None or ":" in (host["port"] or ""):
        yield "has a host that cannot be read: write host:port, an IPv6 address in brackets."
    elif (port := host["port"]) is not None and not _is_port(port):
        # Without a host, what looks like the port is the password: it is not repeated here.
        yield "has a port that is no number from 1 to 65535; the form is user:password@host:port."


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65_535


def _split_scheme(url: str) -> tuple[str | None, str]:
    found = _SCHEME.match(url)
    return (found[1], url[found.end() :]) if found else (None, url)


def _redact_password(rest: str) -> str:
    user, at, address = rest.rpartition("@")
    if at:
        # Up to the last @: a raw one in the password must not end it early.
        name, colon, password = user.partition(":")
        return f"{name}:{HIDDEN}@{address}" if colon and password else rest
    host = re.match(r"(\[[^\]]*\]|[^:/?#]*):([^/?#]*)", rest)
    if host and not _is_port(host[2]):
        return f"{host[1]}:{HIDDEN}"
    return rest
