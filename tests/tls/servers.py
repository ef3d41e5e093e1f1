"""Private servers that speak TLS, and show another certificate when they are told to."""

from __future__ import annotations

import shutil

from tests import databases
from tests.servers import MariaDBServer, PostgresServer
from tests.tls.authority import Authority, Certificate


class Shown:
    """What a server shows: a certificate for this host's name, and the others in its place."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.current = authority.certificate("server", "localhost", "0.0.0.0")
        self.all = {
            "right": authority.certificate("right", "localhost", "0.0.0.0"),
            "ended": authority.certificate("ended", "localhost", "0.0.0.0", ended=True),
            "by itself": authority.certificate("by-itself", "localhost", by_itself=True),
        }

    def show(self, name: str) -> None:
        """Over the files that the server reads, whose owner and mode stay."""
        chosen = self.all[name]
        shutil.copyfile(chosen.file, self.current.file)
        shutil.copyfile(chosen.key, self.current.key)

    def client(self, name: str) -> Certificate:
        """A certificate for a client called *name*."""
        return self.authority.certificate(f"client-{name}", name)


class TlsPostgres(PostgresServer):
    """PostgreSQL with TLS."""

    guarded = "guarded"
    """A user who must show a certificate, with the password if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = Shown(Authority(self.directory))

    def show(self, name: str) -> None:
        """Serve with another certificate from now on."""
        self.shown.show(name)
        self.restart()

    def _create(self) -> None:
        super()._create()
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"hostssl all guarded all cert\n{rules.read_text()}")

    def start(self) -> None:
        super().start()
        if not databases.execute(self.url, "SELECT 1 FROM pg_roles WHERE rolname = 'guarded'"):
            administrator = self.url.replace("celers@", "postgres@")
            databases.execute(administrator, "CREATE ROLE guarded LOGIN")

    def _command(self) -> list[str]:
        return [
            *super()._command(),
            "--ssl=on",
            f"--ssl_cert_file={self.shown.current.file}",
            f"--ssl_key_file={self.shown.current.key}",
            f"--ssl_ca_file={self.shown.authority.root}",
        ]


class TlsMariaDB(MariaDBServer):
    """MariaDB with TLS."""

    guarded = "guarded:secret"

    def __init__(self) -> None:
        super().__init__()
        self.shown = Shown(Authority(self.directory))

    def show(self, name: str) -> None:
        """Serve with another certificate from now on."""
        self.shown.show(name)
        self.restart()

    def _create(self) -> None:
        super()._create()
        with (self.directory / "accounts.sql").open("a") as accounts:
            accounts.write(
                "CREATE USER IF NOT EXISTS guarded@'%' IDENTIFIED BY 'secret' REQUIRE X509;\n"
                "GRANT ALL PRIVILEGES ON `celers%`.* TO guarded@'%';\n"
            )

    def _command(self) -> list[str]:
        return [
            *super()._command(),
            f"--ssl-cert={self.shown.current.file}",
            f"--ssl-key={self.shown.current.key}",
            f"--ssl-ca={self.shown.authority.root}",
        ]
