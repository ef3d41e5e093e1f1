from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests import databases
from tests.servers import PrivateServer, Server


@pytest.fixture
def private_server(database_server: Server) -> PrivateServer:
    if not isinstance(database_server, PrivateServer):
        pytest.skip("the server belongs to somebody else")
    return database_server


@pytest.fixture
def name() -> str:
    return f"celers_{uuid4().hex}"


def test_a_database_is_created_and_dropped(database_server: Server, name: str) -> None:
    url = database_server.create_database(name)
    assert databases.answers(url)
    database_server.drop_database(name)
    assert not databases.answers(url)


def test_a_killed_server_comes_back_with_its_data(private_server: PrivateServer, name: str) -> None:
    url = private_server.create_database(name)
    databases.execute(url, "CREATE TABLE kept (id int)")
    databases.execute(url, "INSERT INTO kept VALUES (7)")
    private_server.kill()
    assert not databases.answers(url)
    private_server.start()
    assert databases.execute(url, "SELECT id FROM kept") == [(7,)]
    private_server.drop_database(name)


def test_a_restarted_server_keeps_its_url(private_server: PrivateServer) -> None:
    private_server.restart()
    assert databases.answers(private_server.url)


def test_an_open_transaction_does_not_hold_up_the_drop(database_server: Server, name: str) -> None:
    url = database_server.create_database(name)
    databases.execute(url, "CREATE TABLE busy (id int)")
    with closing(databases.connect(url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM busy")
        database_server.drop_database(name)
    assert not databases.answers(url)


def test_a_removed_server_leaves_nothing(private_server: PrivateServer) -> None:
    with type(private_server)() as another:
        assert databases.answers(another.url)
    assert not another.directory.exists()
    assert not databases.answers(another.url)


def test_a_database_url_names_an_empty_database(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        file = Path(database_url.removeprefix("sqlite:///"))
        assert file.is_absolute()
        assert not file.exists()
    else:
        assert databases.answers(database_url)
