"""A private PgBouncer in transaction mode, before one of the tests' PostgreSQL servers."""

from __future__ import annotations

import os
import signal
from urllib.parse import unquote, urlsplit

from tests import processes
from tests.servers import PrivateServer, Server, binary


class PgBouncer(PrivateServer):
    """Clients share few connections of the server, so that what belongs to a session shows."""

    name = "pgbouncer"
    stop_signal = signal.SIGINT

    def __init__(self, server: Server, *, swallows: bool = False) -> None:
        """*swallows*: settings of a session are ignored, not refused."""
        super().__init__()
        self._server = server
        self._swallows = swallows

    @property
    def url(self) -> str:
        return self.url_of(self._server.url)

    def url_of(self, url: str) -> str:
        """*url* of a database of the server, through here."""
        parts = urlsplit(url)
        return parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}").geturl()

    def _create(self) -> None:
        self.data.mkdir()
        parts = urlsplit(self._server.url)
        (self.data / "users").write_text(f'"{parts.username}" ""\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": self.data / "users",
            "pool_mode": "transaction",
            "default_pool_size": 3,
            "max_client_conn": 200,
            "server_login_retry": 1,
            "server_round_robin": 1,
        }
        if self._swallows:
            settings["ignore_startup_parameters"] = (
                "statement_timeout,idle_in_transaction_session_timeout,plan_cache_mode,options"
            )
        target = f"host={parts.hostname} port={parts.port or 5432}"
        if parts.password:
            target += f" password={unquote(parts.password)}"
        lines = ["[databases]", f"* = {target}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (self.data / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            for path in (self.data, *self.data.iterdir()):
                os.chown(path, *processes.unprivileged_user())

    def _command(self) -> list[str]:
        return [binary("pgbouncer"), str(self.data / "pgbouncer.ini")]
