"""TLS to the database: one meaning for all drivers, and ``verify-full`` unless the URL says else.

The words are libpq's, on MySQL too: ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey`` and
``sslpassword`` in the query of the URL. What stays on this host needs no TLS: for loopback
addresses and sockets of the file system each driver keeps its own default.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from celers_worker.core.errors import ConfigurationError

DISABLE = "disable"
REQUIRE = "require"
VERIFY_CA = "verify-ca"
VERIFY_FULL = "verify-full"
_MODES = (DISABLE, REQUIRE, VERIFY_CA, VERIFY_FULL)
#: Plaintext as soon as anybody on the way wants it: no protection, so only where none is needed.
_HALF = ("allow", "prefer")

#: How the drivers of their own call the same; a URL that was written for one of them goes on.
_ALIASES = {
    "ssl": "sslmode",
    "ssl_mode": "sslmode",
    "ssl-mode": "sslmode",
    "ssl_ca": "sslrootcert",
    "ssl_cert": "sslcert",
    "ssl_key": "sslkey",
}
_KEYS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword")
_SPELLINGS = {
    "true": REQUIRE,
    "1": REQUIRE,
    "required": REQUIRE,
    "verify_ca": VERIFY_CA,
    "verify_identity": VERIFY_FULL,
    "disabled": DISABLE,
    "false": DISABLE,
    "preferred": "prefer",
}
#: Where systems keep the certificates that they trust, for what Python was built without.
_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True)
class Tls:
    """How a connection is protected; ``mode`` None: it stays on this host, the driver decides."""

    mode: str | None
    root: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = None

    @cached_property
    def context(self) -> ssl.SSLContext | None:
        """What Python's own TLS needs; None for plaintext and where the driver decides.

        Raises ConfigurationError for a file that cannot be used.
        """
        if self.mode in (None, DISABLE):
            return None
        try:
            context = ssl.create_default_context(cafile=self.root)
        except (OSError, ValueError) as error:
            raise _unusable("sslrootcert", self.root, error) from None
        # libpq and OpenSSL take certificates that Python 3.13 finds too sparse.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = self.mode == VERIFY_FULL
        if self.mode == REQUIRE and self.root is None:  # with a root, libpq checks against it
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            try:
                # Without a password OpenSSL would ask at the terminal.
                context.load_cert_chain(self.certificate, self.key, lambda: self.password or "")
            except (OSError, ValueError) as error:
                raise _unusable("sslcert", self.certificate, error) from None
        return context

    @property
    def asyncpg(self) -> dict[str, Any]:
        """The arguments of asyncpg's connect."""
        if self.mode is None:
            return {}
        return {"ssl": self.context if self.mode != DISABLE else False}

    @property
    def libpq(self) -> dict[str, str]:
        """The arguments of psycopg's connect."""
        if self.mode is None:
            return {}
        _ = self.context  # a file that cannot be used is told of as with the other drivers
        given = {
            "sslmode": self.mode,
            "sslrootcert": self.root or (None if self.mode in (DISABLE, REQUIRE) else _trusted()),
            "sslcert": self.certificate,
            "sslkey": self.key,
            "sslpassword": self.password,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def asyncmy(self) -> dict[str, Any]:
        """The arguments of asyncmy's connect."""
        return {} if self.context is None else {"ssl": self.context}

    @property
    def pymysql(self) -> dict[str, Any]:
        """The arguments of PyMySQL's connect."""
        if self.mode == DISABLE:
            return {"ssl_disabled": True}
        return self.asyncmy


def tls_of(url: URL) -> Tls:
    """What *url* says of TLS. Raises ConfigurationError, saying what may be written."""
    given: dict[str, str] = {}
    for name, value in url.query.items():
        key = _ALIASES.get(name, name)
        if key in _KEYS:
            given[key] = value if isinstance(value, str) else value[-1]
    mode = _mode(given.get("sslmode"), local=_is_local(url))
    root = given.get("sslrootcert")
    return Tls(
        mode,
        None if root == "system" else root,
        given.get("sslcert"),
        given.get("sslkey"),
        given.get("sslpassword"),
    )


def without_tls(url: URL) -> URL:
    """*url* without what ``tls_of`` has read, which not every driver understands."""
    return url.difference_update_query([*_KEYS, *_ALIASES])


def _mode(given: str | None, *, local: bool) -> str | None:
    if given is None:
        return None if local else VERIFY_FULL
    mode = _SPELLINGS.get(given.lower(), given.lower())
    if mode in _MODES:
        return mode
    if mode in _HALF and local:
        return None
    if mode in _HALF:
        raise ConfigurationError(
            f"sslmode={mode} in database.url protects nothing, for anybody on the way can turn TLS "
            f"off: write sslmode={VERIFY_FULL}, or sslmode={DISABLE} where the network is trusted."
        )
    raise ConfigurationError(
        f"sslmode={given[:40]!r} in database.url is none of {', '.join(_MODES)}."
    )


def _is_local(url: URL) -> bool:
    """Whether every host that *url* names is this one."""
    return "unix_socket" in url.query or all(map(_is_this_host, _hosts(url)))


def _hosts(url: URL) -> Iterator[str]:
    named = url.query.get("host", url.host or "")
    for several in (named,) if isinstance(named, str) else named:
        yield from several.split(",")
    if isinstance(address := url.query.get("hostaddr", ""), str) and address:
        yield from address.split(",")


def _is_this_host(host: str) -> bool:
    if not host or host.startswith(("/", "@")):  # a socket of the file system, or abstract
        return True
    name = host.strip("[]").lower()
    if not name.count(":") > 1:  # more than one: an IPv6 address without a port
        name = name.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _trusted() -> str:
    """The file of certificates that this system trusts, for libpq, which looks for none itself."""
    for place in (ssl.get_default_verify_paths().cafile, *_SYSTEM):
        if place and Path(place).is_file():
            return place
    return "system"  # libpq 16 asks its own OpenSSL


def _unusable(key: str, file: str | None, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ConfigurationError(f"{key} of database.url, {file}, cannot be used: {reason}.")
