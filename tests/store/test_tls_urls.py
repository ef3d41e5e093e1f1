"""What a URL says of TLS, and what it means where it says nothing."""

import pytest
from sqlalchemy import make_url

from celers_worker.store.tls import tls_of, without_tls


@pytest.mark.parametrize(
    "place",
    [
        "/name",
        "localhost/name",
        "LOCALHOST:5432/name",
        "db.localhost/name",
        "127.0.0.1/name",
        "127.8.9.10:1/name",
        "[::1]/name",
        "[::1]:5432/name",
        "/name?host=/var/run/postgresql",
        "/name?host=localhost:5432&host=127.0.0.1:5433",
        "/name?host=localhost,127.0.0.1",
        "db.example.org/name?unix_socket=/run/mysqld/mysqld.sock",
    ],
)
def test_what_stays_on_this_host_is_left_to_the_driver(place):
    tls = tls_of(make_url(f"postgresql://{place}"))
    assert tls.mode is None
    assert (tls.asyncpg, tls.libpq, tls.asyncmy, tls.pymysql) == ({}, {}, {}, {})


@pytest.mark.parametrize(
    "place",
    [
        "db/name",
        "db.example.org/name",
        "10.0.0.1/name",
        "0.0.0.0/name",
        "[fe80::1]/name",
        "localhost.example.org/name",
        "127.0.0.1.example.org/name",
        "/name?host=localhost:5432&host=db:5432",
        "/name?host=localhost,db",
        "localhost/name?hostaddr=10.0.0.1",
    ],
)
def test_what_leaves_this_host_is_verified_in_full(place):
    tls = tls_of(make_url(f"postgresql://{place}"))
    assert tls.mode == "verify-full"
    assert tls.context is not None
    assert tls.context.check_hostname
    assert tls.libpq["sslmode"] == "verify-full"
    assert tls.libpq["sslrootcert"]


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("sslmode=disable", "disable"),
        ("sslmode=VERIFY-CA", "verify-ca"),
        ("ssl=require", "require"),
        ("ssl=true", "require"),
        ("ssl-mode=VERIFY_IDENTITY", "verify-full"),
        ("ssl_mode=REQUIRED", "require"),
        ("ssl_mode=DISABLED", "disable"),
    ],
)
def test_the_words_of_each_driver_are_understood(written, mode):
    assert tls_of(make_url(f"mysql://db/name?{written}")).mode == mode
    assert tls_of(make_url(f"postgresql://localhost/name?{written}")).mode == mode


def test_only_what_is_about_tls_is_taken_out_of_the_url():
    url = make_url("mysql://u:p@db/n?ssl_ca=a&sslcert=b&sslkey=c&sslpassword=d&sslmode=e&charset=f")
    assert dict(without_tls(url).query) == {"charset": "f"}
    tls = tls_of(url.update_query_dict({"sslmode": "require"}))
    assert (tls.root, tls.certificate, tls.key, tls.password) == ("a", "b", "c", "d")
