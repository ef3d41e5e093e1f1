"""Private PostgreSQL and MariaDB servers in temporary directories, for the tests and the bench.

With CELERS_TEST_POSTGRES_URL or CELERS_TEST_MYSQL_URL set, that server is used instead; its user
must be allowed to create and drop databases whose names begin with `celers`.
"""

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from tests import databases, processes
from tests.waiting import eventually_sync

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


class Server(ABC):
    """A database server in which the tests make their own databases."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The database our user connects to when it creates others."""

    @abstractmethod
    def start(self) -> None:
        """Make it answer; does nothing if it runs."""

    @abstractmethod
    def remove(self) -> None:
        """End it and delete what it stored."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def create_database(self, name: str) -> str:
        """Return the URL of a new, empty database."""
        return databases.create_database(self.url, name)

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        databases.drop_database(self.url, name)


class ExternalServer(Server):
    """A server that others start and stop."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def start(self) -> None:
        databases.execute(self.url, "SELECT 1")  # its error says more than a wait

    def remove(self) -> None:
        pass


class PrivateServer(Server):
    """A server of our own: it ends with this process at the latest.

    Start it from the main thread: Linux ends it together with the thread that started it.
    """

    name: str
    stop_signal: signal.Signals

    def __init__(self, *, durable: bool = False) -> None:
        self.durable = durable
        self.port = _free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"celers-{self.name}-"))
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)

    @abstractmethod
    def _create(self) -> None:
        """Fill the data directory, with our user and its first database."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What to run; it stays in the foreground."""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The number of its first process. Raises RuntimeError if it was never started."""
        if self._process is None:
            raise RuntimeError(f"the {self.name} server has not been started")
        return self._process.pid

    def start(self) -> None:
        if self.is_running:
            return
        if not self.data.exists():
            if os.geteuid() == 0:
                os.chown(self.directory, *processes.unprivileged_user())
            self._create()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                processes.guarded(self._command()),
                cwd=self.directory,  # ours may be closed to the unprivileged user
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for pytest
            )
        try:
            eventually_sync(self._answers, within=_START_SECONDS)
        except AssertionError:
            self.kill()
            raise self._failure("did not answer in time") from None

    def stop(self) -> None:
        """Shut down in an orderly way; the data stay."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failure("did not stop in time") from None

    def kill(self) -> None:
        """SIGKILL the server and every process it started; the data stay."""
        if self._process is not None:
            processes.kill_tree(self._process)

    def restart(self) -> None:
        """Stop in an orderly way and start on the same port."""
        self.stop()
        self.start()

    def remove(self) -> None:
        if os.getpid() != self._owner:
            return  # atexit in a process forked by a test
        atexit.unregister(self.remove)
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        if not self.is_running:
            raise self._failure("ended at its start")
        return databases.answers(self.url)

    def _run(self, *command: str, stdin: str = "") -> None:
        with self.log.open("ab") as log:
            finished = subprocess.run(
                processes.guarded(list(command)),
                cwd=self.directory,
                input=stdin.encode(),
                stdout=log,
                stderr=log,
                timeout=_START_SECONDS,
                check=False,
            )
        if finished.returncode:
            raise self._failure(f"could not be created by {Path(command[0]).name}")

    def _failure(self, what: str) -> RuntimeError:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
        return RuntimeError(f"The private {self.name} server {what}. Its log ends:\n{tail}")


class PostgresServer(PrivateServer):
    """PostgreSQL; our user may create databases and is, as in production, no superuser."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave

    @property
    def url(self) -> str:
        return f"postgresql://celers@127.0.0.1:{self.port}/celers"

    def _create(self) -> None:
        data = f"-D{self.data}"
        encoding = ("-E", "UTF8", "--no-locale")
        self._run(binary("initdb"), data, *encoding, "-Upostgres", "--auth=trust", "--no-sync")
        account = "CREATE ROLE celers LOGIN CREATEDB;\nCREATE DATABASE celers OWNER celers;\n"
        self._run(binary("postgres"), "--single", data, "postgres", stdin=account)

    def _command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
        }
        if not self.durable:  # survives a killed server, which tests do; not a lost machine
            settings |= {"fsync": "off", "full_page_writes": "off"}
        flags = [f"--{name}={value}" for name, value in settings.items()]
        return [binary("postgres"), f"-D{self.data}", *flags]


class MariaDBServer(PrivateServer):
    """MariaDB as it comes, latin1 and REPEATABLE READ: the product has to cope with that."""

    name = "mariadb"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"mysql://celers:secret@127.0.0.1:{self.port}/celers"

    def _create(self) -> None:
        root = "--auth-root-authentication-method=normal"
        places = (f"--datadir={self.data}", f"--tmpdir={self.directory}")
        self._run(binary("mariadb-install-db"), "--no-defaults", root, "--skip-test-db", *places)
        accounts = [
            f"CREATE USER IF NOT EXISTS celers@'{host}' IDENTIFIED BY 'secret';\n"
            f"GRANT ALL PRIVILEGES ON `celers%`.* TO celers@'{host}';\n"
            for host in ("%", "127.0.0.1")
        ]
        accounts.append("CREATE DATABASE IF NOT EXISTS celers;\n")
        (self.directory / "accounts.sql").write_text("".join(accounts))

    def _command(self) -> list[str]:
        settings = {
            "datadir": self.data,
            "tmpdir": self.directory,  # a starting server deletes the temporary tables of others
            "socket": self.directory / "server.sock",
            "pid-file": self.directory / "server.pid",
            "init-file": self.directory / "accounts.sql",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "innodb-buffer-pool-size": "128M",
            "innodb-flush-log-at-trx-commit": 1,
        }
        if not self.durable:  # each commit still writes the log, only the disk is not waited for
            settings["loose-innodb-flush-method"] = "nosync"
        flags = [f"--{name}={value}" for name, value in settings.items()]
        return [binary("mariadbd"), "--no-defaults", *flags]


def postgres_server(*, durable: bool = False) -> Server:
    """The server of CELERS_TEST_POSTGRES_URL, else a private one, not started yet."""
    url = os.environ.get("CELERS_TEST_POSTGRES_URL")
    return ExternalServer(url) if url else PostgresServer(durable=durable)


def mariadb_server(*, durable: bool = False) -> Server:
    """The server of CELERS_TEST_MYSQL_URL, else a private one, not started yet."""
    url = os.environ.get("CELERS_TEST_MYSQL_URL")
    return ExternalServer(url) if url else MariaDBServer(durable=durable)


def binary(name: str) -> str:
    """Where a program of a server is."""
    # Debian keeps PostgreSQL's out of the PATH, and /usr/sbin is only in root's.
    versions = list(Path("/usr/lib/postgresql").glob("*/bin"))
    newest_first = sorted(versions, key=lambda place: float(place.parent.name), reverse=True)
    places = [*map(str, newest_first), os.environ.get("PATH", os.defpath), "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(f"{name} is not installed: run `make servers`")
    return found


def _free_port() -> int:
    # Below the range of outgoing connections: while a killed server is down, nobody who retries
    # to reach it can be given its port.
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("No free port between 20000 and 32000 on 127.0.0.1")
