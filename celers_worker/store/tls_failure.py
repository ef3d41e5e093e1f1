"""Why a connection was not as safe as it must be, whichever driver says so, and what mends it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

#: What the drivers say, in the order in which it is looked for. libpq has no codes for it, and
#: PyMySQL and asyncmy put the text of Python's ssl into an error of their own.
_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"does not match host name|hostname mismatch|IP address mismatch", re.I),
        "its certificate is for another host: name it in database.url as the certificate does, or "
        "let the certificate name this host",
    ),
    (
        re.compile(r"certificate has expired|certificate is not yet valid"),
        "its certificate has expired, or is not valid yet: renew it on the server, and look at "
        "the clocks of both",
    ),
    (
        re.compile(r"self[- ]signed|unable to get (local )?issuer", re.I),
        "nobody who is trusted here has signed its certificate: name the file of who did by "
        "?sslrootcert=/path/ca.pem in database.url",
    ),
    (
        re.compile(r"certificate verify failed", re.I),  # libpq says no more
        "nobody who is trusted here has signed its certificate, or it has expired: name the file "
        "of who did by ?sslrootcert=/path/ca.pem in database.url, or renew it on the server",
    ),
    (
        re.compile(
            r"rejected SSL upgrade|does not support SSL|doesn't support it|SSL is required|"
            r"WRONG_VERSION_NUMBER|wrong version number|record layer failure|RECORD_LAYER_FAILURE",
            re.I,
        ),
        "it speaks no TLS, or somebody on the way hides it: turn TLS on at the server, or write "
        "?sslmode=disable in database.url where the network is trusted",
    ),
    (
        re.compile(r"root certificate file|could not (read|load) .*certificate", re.I),
        "the certificates that are trusted here cannot be read: name their file by "
        "?sslrootcert=/path/ca.pem in database.url",
    ),
    (
        re.compile(r"certificate.required|requires? a valid client certificate", re.I),
        "it wants a certificate of ours: name its files by ?sslcert=…&sslkey=… in database.url",
    ),
)


def tls_problem(error: BaseException) -> str | None:
    """What is wrong with the protection of a connection, and what to do; None: something else."""
    for one in _chain(error):
        if isinstance(one, ssl.SSLError | ConnectionError) or _may_tell(one):
            text = str(one)
            for pattern, meaning in _REASONS:
                if pattern.search(text):
                    return meaning
    return None


def _may_tell(error: BaseException) -> bool:
    """Whether its text is a driver's about connecting, and not about somebody's data."""
    code = error.args[0] if error.args else None
    if type(error).__module__.startswith("psycopg"):
        return getattr(error, "sqlstate", None) is None
    return code in (2003, 2026)  # MySQL's codes for a connection that was not made


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and what it came from, the drivers' own ways of keeping it included."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or one in seen:
            continue
        seen.append(one)
        yield one
        waiting += [
            getattr(one, "orig", None),
            getattr(one, "original_exception", None),
            one.__cause__,
        ]
