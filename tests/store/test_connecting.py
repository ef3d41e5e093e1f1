from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import make_url

from celers_worker.store import StoreOptions
from celers_worker.store.postgres.connecting import patience, whichever_writes

ONE = "postgresql://user@host/database"
TWO = "postgresql://user@/database?host=first:5432&host=second:5433"
TWO_AS_LIBPQ_HAS_THEM = "postgresql://user@/database?host=first,second&port=5432,5433"


@pytest.mark.parametrize(
    ("url", "servers", "rule"),
    [
        (ONE, 1, {}),
        ("postgresql://user@/database?host=only:5432", 1, {}),
        (TWO, 2, {"target_session_attrs": "read-write"}),
        (TWO_AS_LIBPQ_HAS_THEM, 2, {"target_session_attrs": "read-write"}),
        (f"{TWO}&target_session_attrs=any", 2, {}),
    ],
)
def test_of_several_servers_the_one_that_takes_writes_is_used_and_each_gets_its_time(
    url: str, servers: int, rule: dict[str, str]
) -> None:
    options = StoreOptions(connect_timeout=timedelta(seconds=3))
    assert whichever_writes(make_url(url)) == rule
    assert patience(make_url(url), options) == 3.0 * servers
