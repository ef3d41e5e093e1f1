"""A server that is too old is refused, with what was found and what is needed."""

import pytest

from celers_worker.core.errors import Refused
from celers_worker.store.server import OLDEST, Server, check_server


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Server("MySQL", (8, 0, 3)), "MySQL 8.0.3 is too old: Celers needs MySQL 8.0.4 or newer."),
        (Server("MySQL", (5, 7, 44)), "MySQL 5.7.44 is too old"),
        (Server("MariaDB", (10, 5, 29)), "MariaDB 10.5.29 is too old: Celers needs MariaDB 10.6"),
        (Server("PostgreSQL", (11, 22)), "PostgreSQL 11.22 is too old: Celers needs PostgreSQL 12"),
        (Server("SQLite", (3, 34, 1)), "SQLite 3.34.1 is too old: Celers needs SQLite 3.35"),
    ],
)
def test_a_server_that_is_too_old_is_refused(server, message):
    with pytest.raises(Refused) as caught:
        check_server(server)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "server",
    [
        *(Server(product, version) for product, version in OLDEST.items()),
        Server("MySQL", (8, 0, 4)),
        Server("MySQL", (9, 7, 0)),
        Server("MariaDB", (10, 6, 0)),
        Server("MariaDB", (12, 0, 2)),
        Server("PostgreSQL", (12,)),
        Server("PostgreSQL", (18, 1)),
        Server("SQLite", (3, 35, 0)),
    ],
    ids=str,
)
def test_the_oldest_server_and_newer_ones_are_accepted(server):
    assert check_server(server) is None


async def test_both_stores_see_which_server_it_is(store, direct):
    expected = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}
    assert store.server.product in (expected[store.url.get_backend_name()], "MySQL")
    assert store.server.version >= OLDEST[store.server.product]
    assert store.server == direct.open()
