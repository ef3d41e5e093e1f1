"""The commands of docs/operations/backup.md, run as they stand there, on servers of our own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from celers_worker.core.task import NewTask
from celers_worker.store import make_direct_store, migrate
from celers_worker.store.direct import DirectStore
from tests import databases, documents, processes
from tests.documents import Document
from tests.moving import content
from tests.moving.conftest import Database
from tests.servers import MariaDBServer, PostgresServer
from tests.waiting import eventually_sync

DOCUMENT = Document("operations/backup.md")
APPLICATION = """\
from celers_worker import Celers

app = Celers()


@app.task()
def send(to: str) -> None: ...
"""

on_sqlite = pytest.mark.parametrize("source_kind", ["sqlite"])
on_postgres = pytest.mark.parametrize("source_kind", ["postgres"])
on_mysql = pytest.mark.parametrize("source_kind", ["mysql"])


class Shell(documents.Shell):
    """Runs blocks of the document, with what they find in their environment."""

    def run(self, name: str, *, as_server: bool = False) -> str:
        """Run a block, as we or as the user whom the servers run as; it must succeed."""
        return self.succeed(name, DOCUMENT.block("run", name), as_server=as_server)


def settings(name: str, **places: Path) -> list[str]:
    """A block of settings as arguments of a server, with directories of our own."""
    text = DOCUMENT.block("settings", name)
    for place, path in places.items():
        text = text.replace(f"/srv/{place}", str(path))
    lines = [line.split("=", 1) for line in text.splitlines() if line]
    return [f"--{key.strip()}={value.strip().strip(chr(39))}" for key, value in lines]


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory


@pytest.fixture
def source(source_kind: str, database: Database) -> Iterator[DirectStore]:
    with make_direct_store(database(source_kind)) as opened:
        yield opened


def url(store: DirectStore) -> str:
    plain = store.url.set(drivername=store.url.get_backend_name())
    return plain.render_as_string(hide_password=False)


def options_file(path: Path, address: str) -> Path:
    """What the programs of MariaDB read user and password from."""
    parts = urlsplit(address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    path.write_text(
        f"[client]\nuser={user}\npassword={password}\n"
        f"host={parts.hostname}\nport={parts.port or 3306}\n"
    )
    return path


def test_every_block_of_the_document_is_run() -> None:
    source = Path(__file__).read_text()
    assert [block.name for block in DOCUMENT.marked if f'"{block.name}"' not in source] == []
    assert len(DOCUMENT.marked) == DOCUMENT.text.count("<!-- ") > 15


@pytest.mark.parametrize("source_kind", ["sqlite", "postgres", "mysql"])
def test_celers_backup_and_restore(
    source: DirectStore, source_kind: str, database: Database, tmp_path: Path, backups: Path
) -> None:
    rows = content.fill(source)
    shell = Shell(tmp_path, BACKUPS=backups, CELERS_DATABASE_URL=url(source))
    assert "is whole: " in shell.run("celers-backup")

    new = database(source_kind)
    shell = Shell(tmp_path, BACKUPS=backups, CELERS_DATABASE_URL=new)
    shell.run("celers-restore")
    with make_direct_store(new) as restored:
        found = content.contents(restored)
    assert found | {"queues": []} == content.ordered(rows | {"queues": []})
    assert {row["name"] for row in found["queues"]} == {"paused", "default", "flow"}


@on_postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_pg_dump_and_pg_restore(
    source: DirectStore, database_url: str, tmp_path: Path, backups: Path
) -> None:
    rows = content.fill(source)
    shell = Shell(
        tmp_path,
        BACKUPS=backups,
        CELERS_DATABASE_URL=url(source),
        NEW_DATABASE_URL=database_url,
    )
    shell.run("postgres-dump")
    shell.run("postgres-restore")
    with make_direct_store(database_url) as restored:
        assert content.contents(restored) == content.ordered(rows)


@on_postgres
def test_the_rotation_of_dumps(source: DirectStore, tmp_path: Path, backups: Path) -> None:
    for day in range(1, 10):
        (backups / f"celers-2026010{day}T000000Z.dump").touch()
    Shell(tmp_path, BACKUPS=backups, CELERS_DATABASE_URL=url(source)).run("postgres-rotate")

    left = sorted(path.name for path in backups.iterdir())
    assert left[:6] == [f"celers-2026010{day}T000000Z.dump" for day in range(4, 10)]
    assert len(left) == 7
    assert (backups / left[6]).stat().st_size > 0


@on_mysql
@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_mariadb_dump(
    source: DirectStore, database_url: str, tmp_path: Path, backups: Path
) -> None:
    rows = content.fill(source)
    shell = Shell(
        tmp_path,
        BACKUPS=backups,
        MY_CNF=options_file(tmp_path / "my.cnf", url(source)),
        DATABASE=source.url.database,
        NEW_DATABASE=urlsplit(database_url).path[1:],
        NEW_DATABASE_URL=database_url,
    )
    shell.run("mariadb-dump")
    shell.run("mariadb-restore")
    with make_direct_store(database_url) as restored:
        assert content.contents(restored) == content.ordered(rows)


@on_sqlite
def test_the_backup_of_sqlite_itself(source: DirectStore, tmp_path: Path, backups: Path) -> None:
    rows = content.fill(source)
    shell = Shell(tmp_path, BACKUPS=backups, DATABASE_FILE=source.url.database)
    shell.run("sqlite-backup")
    source.enqueue([NewTask(name="late", payload=b"{}")])
    source.close()

    shell.run("sqlite-restore")
    assert content.contents(source) == content.ordered(rows)


@pytest.mark.parametrize("source_kind", ["sqlite", "postgres", "mysql"])
def test_the_checks_the_export_and_the_copy(
    source: DirectStore, database: Database, tmp_path: Path
) -> None:
    rows = content.fill(source)
    (tmp_path / "tasks.py").write_text(APPLICATION)
    new = database("sqlite")
    shell = Shell(tmp_path, CELERS_DATABASE_URL=url(source), NEW_DATABASE_URL=new)
    shell.run("checks")
    shell.run("export")
    with make_direct_store(new) as other:
        assert [row["id"] for row in content.contents(other)["tasks"]] == [rows["dead"][0]["id"]]
        content.empty(other)
        shell.run("copy")
        assert content.contents(other) == content.ordered(rows)
    assert content.contents(source) == content.ordered({"queues": rows["queues"]})


# --- to a moment in the past ---


class ArchivingServer(PostgresServer):
    """A server set up as the document says."""

    @property
    def archive(self) -> Path:
        return self.directory / "archive"

    @property
    def superuser(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _create(self) -> None:
        super()._create()
        subprocess.run(processes.guarded(["mkdir", str(self.archive)]), check=True)

    def _command(self) -> list[str]:
        return [*super()._command(), *settings("postgres", archive=self.archive)]


class RecoveredServer(PostgresServer):
    """A server on what the document's commands recover."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self._shell = shell

    def _create(self) -> None:
        self._shell.environment["RECOVERED"] = str(self.data)
        self._shell.run("postgres-recover", as_server=True)


def add(store: DirectStore, number: int) -> None:
    store.enqueue([NewTask(name="send", payload=b"{}") for _ in range(number)])


@on_postgres
@pytest.mark.timeout(180)  # three servers are started, one after another
def test_postgres_comes_back_to_a_moment(source_kind: str, tmp_path: Path) -> None:
    with ArchivingServer() as server, make_direct_store(server.url) as store:
        migrate.upgrade(store)
        add(store, 3)
        shell = Shell(
            server.directory,
            BASE=server.directory / "base",
            ARCHIVE=server.archive,
            PGHOST="127.0.0.1",
            PGPORT=server.port,
            PGUSER="postgres",
        )
        shell.run("postgres-base", as_server=True)
        add(store, 2)
        [(moment,)] = databases.execute(server.url, "SELECT clock_timestamp()::text")
        databases.execute(server.url, "DELETE FROM celers_tasks")
        [(last,)] = databases.execute(server.superuser, "SELECT pg_walfile_name(pg_switch_wal())")
        eventually_sync(lambda: (server.archive / last).exists(), within=30)
        shell.environment["MOMENT"] = moment
        with RecoveredServer(shell) as recovered:
            eventually_sync(
                lambda: (
                    databases.execute(recovered.url, "SELECT pg_is_in_recovery()") == [(False,)]
                ),
                within=30,
            )
            with make_direct_store(recovered.url) as again:
                again.open()
                assert len(content.contents(again, "tasks")["tasks"]) == 5


class LoggingServer(MariaDBServer):
    """A server set up as the document says."""

    @property
    def binlog(self) -> Path:
        return self.directory / "binlog"

    def _create(self) -> None:
        super()._create()
        subprocess.run(processes.guarded(["mkdir", str(self.binlog)]), check=True)

    def _command(self) -> list[str]:
        return [*super()._command(), *settings("mariadb", binlog=self.binlog)]


def administrator(server: MariaDBServer, path: Path) -> Path:
    """The options file of a user who may do everything."""
    path.write_text(f"[client]\nuser=root\nsocket={server.directory}/server.sock\n")
    return path


@on_mysql
@pytest.mark.timeout(180)  # two servers are created
def test_mariadb_comes_back_to_a_moment(source_kind: str, tmp_path: Path, backups: Path) -> None:
    with (
        LoggingServer() as server,
        MariaDBServer() as new,
        make_direct_store(server.url) as store,
    ):
        migrate.upgrade(store)
        add(store, 3)
        shell = Shell(
            tmp_path,
            BACKUPS=backups,
            BINLOG=server.binlog,
            DATABASE="celers",
            MY_CNF=administrator(server, tmp_path / "my.cnf"),
            NEW_MY_CNF=administrator(new, tmp_path / "new.cnf"),
        )
        shell.run("mariadb-base")
        add(store, 2)
        before = int(time.time())
        # The log knows seconds only: what comes in the next one is left out.
        eventually_sync(lambda: int(time.time()) > before)
        moment = time.localtime(before + 1)
        shell.environment["MOMENT"] = time.strftime("%Y-%m-%d %H:%M:%S", moment)
        databases.execute(server.url, "DELETE FROM celers_tasks")
        shell.run("mariadb-recover")
        with make_direct_store(new.url) as again:
            again.open()
            assert len(content.contents(again, "tasks")["tasks"]) == 5
        with make_direct_store(server.url) as damaged:
            assert content.contents(damaged, "tasks")["tasks"] == []
