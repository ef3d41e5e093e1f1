"""What can be done to a database server: freeze it, fill it up, forbid writes, end its sessions."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pymysql

from tests import databases, processes
from tests.servers import MariaDBServer, PostgresServer, PrivateServer, binary
from tests.waiting import eventually_sync

_ANSWER_SECONDS = 30.0


@contextlib.contextmanager
def frozen(server: PrivateServer) -> Iterator[None]:
    """SIGSTOP the server with all its processes, and let it go on at the end of the block."""
    members = members_of(server)
    for member in members:
        _signal(member, signal.SIGSTOP)
    try:
        yield
    finally:
        for member in reversed(members):
            _signal(member, signal.SIGCONT)


def members_of(server: PrivateServer) -> list[int]:
    """The server's process and those that it has started, the parent first."""
    return [server.pid, *processes.children(server.pid)]


def superuser(server: PrivateServer) -> str:
    """The URL of who may do everything; asked for by what our user may not."""
    if isinstance(server, PostgresServer):
        return f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
    assert isinstance(server, MariaDBServer)
    return f"mysql://root@127.0.0.1:{server.port}/mysql"


def execute_as_root(server: PrivateServer, statement: str) -> list[tuple[object, ...]]:
    """Run a statement as the superuser; MariaDB's root comes through the socket only."""
    if isinstance(server, PostgresServer):
        return databases.execute(superuser(server), statement)
    with (
        closing(
            pymysql.connect(
                unix_socket=str(server.directory / "server.sock"),
                user="root",
                autocommit=True,
                connect_timeout=5,
                read_timeout=int(_ANSWER_SECONDS),
            )
        ) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextlib.contextmanager
def read_only(server: PrivateServer) -> Iterator[None]:
    """Refuse every write, of new sessions and of those that exist."""
    _set_read_only(server, True)
    try:
        yield
    finally:
        _set_read_only(server, False)


def _set_read_only(server: PrivateServer, on: bool) -> None:
    if isinstance(server, PostgresServer):
        value = "on" if on else "off"
        execute_as_root(server, f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        execute_as_root(server, "SELECT pg_reload_conf()")
        # The signal of the reload is on its way.
        with closing(psycopg.connect(superuser(server), autocommit=True)) as connection:
            eventually_sync(
                lambda: (
                    connection.execute("SHOW default_transaction_read_only").fetchone() == (value,)
                )
            )
    else:
        execute_as_root(server, f"SET GLOBAL read_only = {int(on)}")


def end_sessions(server: PrivateServer, url: str) -> int:
    """End every session of the database of *url*, and return how many there were."""
    name = urlsplit(url).path.lstrip("/")
    if isinstance(server, PostgresServer):
        rows = execute_as_root(
            server,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{_checked(name)}' AND pid <> pg_backend_pid()",
        )
        return len(rows)
    ended = 0
    for (session,) in execute_as_root(
        server, f"SELECT id FROM information_schema.processlist WHERE db = '{_checked(name)}'"
    ):
        with contextlib.suppress(pymysql.err.MySQLError):  # it may just have left
            execute_as_root(server, f"KILL CONNECTION {session}")
            ended += 1
    return ended


def sessions(server: PrivateServer, url: str) -> int:
    """How many sessions the database of *url* has."""
    name = _checked(urlsplit(url).path.lstrip("/"))
    source = (
        f"pg_stat_activity WHERE datname = '{name}'"
        if isinstance(server, PostgresServer)
        else f"information_schema.processlist WHERE db = '{name}'"
    )
    [(count,)] = execute_as_root(server, f"SELECT count(*) FROM {source}")
    return int(str(count))


def database_of(server: PrivateServer, name: str, port: int | None = None) -> str:
    """The URL of one of its databases, perhaps through another port, as a proxy's."""
    parts = urlsplit(server.url)
    netloc = parts.netloc.replace(f":{server.port}", f":{port or server.port}")
    return parts._replace(netloc=netloc, path=f"/{name}").geturl()


# --- a disk that is too small ---


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at *folder*, which anybody may write to."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", "celers", str(folder)],
        check=True,
        capture_output=True,
        timeout=20,
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, timeout=20)


def may_mount(folder: Path) -> bool:
    """Whether this user and this machine allow a file system of one's own."""
    try:
        with small_disk(folder, 1):
            return True
    except (OSError, subprocess.SubprocessError):
        return False


@contextlib.contextmanager
def filled_up(folder: Path) -> Iterator[None]:
    """Leave no room in the file system of *folder* until the end of the block."""
    ballast = folder / "ballast"
    # Without a buffer: what is left in one is written again at the end, which fails once more.
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * (1 << 16))
    try:
        yield
    finally:
        ballast.unlink()


# --- a standby ---


class Standby(PostgresServer):
    """A copy of a PostgreSQL server that follows it, until it is promoted."""

    name = "standby"

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self.primary = primary

    def _create(self) -> None:
        self._run(
            binary("pg_basebackup"),
            *("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "postgres"),
            *("-D", str(self.data), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            *("--wal-method", "stream"),
        )

    def follows(self) -> bool:
        """Whether it is connected to its primary."""
        rows = execute_as_root(self.primary, "SELECT state FROM pg_stat_replication")
        return ("streaming",) in rows

    def promote(self) -> None:
        """Make it the primary, and wait until it is."""
        execute_as_root(self, "SELECT pg_promote(true, 30)")
        eventually_sync(
            lambda: execute_as_root(self, "SELECT pg_is_in_recovery()") == [(False,)],
            within=_ANSWER_SECONDS,
        )


def wait_for_standbys(primary: PostgresServer) -> None:
    """Let each commit wait until a standby has it."""
    execute_as_root(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    execute_as_root(primary, "SELECT pg_reload_conf()")


def pause_replication(standby: Standby) -> None:
    """Stop what brings the standby the primary's changes, without a word."""
    for pid in members_of(standby):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"walreceiver" in command:
            _signal(pid, signal.SIGSTOP)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(name)
    return name
