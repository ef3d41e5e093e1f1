"""What protects the way to the database means the same with every driver, on real servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from celers_worker.core.errors import ConfigurationError, Refused, Untrusted
from celers_worker.store import make_direct_store, make_store
from tests.cli.shell import run
from tests.servers import ExternalServer, Server
from tests.tls.servers import TlsMariaDB, TlsPostgres
from tests.tls.stripping import stripping
from tests.waiting import eventually


def _on(database: str) -> list[pytest.MarkDecorator]:
    """All tests with one server in one process: each process would start its own."""
    return [pytest.mark.database(database), pytest.mark.xdist_group(f"tls on {database}")]


#: How to get at a driver: which database, with or without an event loop, and of which kind.
DRIVERS = {
    "asyncpg": ("postgres", asyncio.new_event_loop),
    "asyncpg on uvloop": ("postgres", uvloop.new_event_loop),
    "psycopg": ("postgres", None),
    "asyncmy": ("mysql", asyncio.new_event_loop),
    "asyncmy on uvloop": ("mysql", uvloop.new_event_loop),
    "pymysql": ("mysql", None),
}
ON_SERVERS = pytest.mark.parametrize(
    "database", [pytest.param(name, marks=_on(name)) for name in ("postgres", "mysql")]
)
WITHOUT = {"postgres": "postgres_server", "mysql": "mariadb_server"}


@pytest.fixture(scope="module")
def tls_postgres() -> Iterator[TlsPostgres]:
    with TlsPostgres() as server:
        yield server


@pytest.fixture(scope="module")
def tls_mysql() -> Iterator[TlsMariaDB]:
    with TlsMariaDB() as server:
        yield server


async def _nothing_is_open() -> None:
    """Wait for asyncio's goodbyes: asyncmy does not, when the server refuses it over TLS."""
    selector = getattr(asyncio.get_running_loop(), "_selector", None)  # uvloop has none
    if selector is not None:
        await eventually(lambda: len(selector.get_map()) == 1)  # the loop's own pipe


class Way:
    """One driver, and its way to a server with TLS and to one without."""

    def __init__(self, request: pytest.FixtureRequest, name: str) -> None:
        self._request = request
        self.database, self._loop = DRIVERS[name]

    @property
    def server(self) -> Any:
        return self._request.getfixturevalue(f"tls_{self.database}")

    @property
    def without(self) -> Server:
        server: Server = self._request.getfixturevalue(WITHOUT[self.database])
        server.start()
        return server

    @property
    def root(self) -> str:
        return str(self.server.shown.authority.root)

    def url(
        self, query: str, *, host: str = "localhost", user: str = "celers:secret", port: int = 0
    ) -> str:
        scheme = "postgresql" if self.database == "postgres" else "mysql"
        return f"{scheme}://{user}@{host}:{port or self.server.port}/celers?{query}"

    def verified(self, **where: Any) -> str:
        """The URL that is as safe as it gets."""
        return self.url(f"sslmode=verify-full&sslrootcert={self.root}", **where)

    def connect(self, url: str) -> bool:
        """Connect, and say whether the connection is encrypted."""
        question = (
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            if self.database == "postgres"
            else "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
        )

        def ask(transaction: Any) -> bool:
            answer = transaction.connection.exec_driver_sql(question).first()[-1]
            return bool(answer)

        if self._loop is None:
            with make_direct_store(url) as direct:
                return direct.run(ask)

        async def connected() -> bool:
            store = make_store(url)
            try:
                return await store.run(ask)
            finally:
                await store.close()
                await _nothing_is_open()

        with asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(connected())

    def leave_uvloop(self) -> None:
        """It complains of a TLS connection that the server ended, if its loop is closed at once.

        And now and then it waits for ever for one that the server refused.
        """
        self._loop = self._loop and asyncio.new_event_loop

    def outcome(self, url: str) -> bool | str:
        """Whether the connection has TLS; "hidden": refused, for the server seems to have none."""
        try:
            return self.connect(url)
        except Untrusted as refusal:
            told = str(refusal)
            return "hidden" if "somebody on the way hides it" in told else told

    def refusal(self, url: str) -> str:
        """Connect, be refused, and say why."""
        with pytest.raises(Untrusted) as refusal:
            self.connect(url)
        told = str(refusal.value)
        assert "\n" not in told
        assert "secret" not in told
        return told


@pytest.fixture(params=[pytest.param(name, marks=_on(of)) for name, (of, _) in DRIVERS.items()])
def way(request: pytest.FixtureRequest) -> Way:
    return Way(request, request.param)


# --- what is safe is let through ---


def test_the_right_certificate_is_trusted(way):
    assert way.connect(way.verified()) is True


def test_off_this_host_nothing_need_be_said_to_have_all_of_it_checked(way):
    # 0.0.0.0 leads to this host, but is no loopback address: here it is the network.
    assert way.connect(way.url(f"sslrootcert={way.root}", host="0.0.0.0")) is True
    assert "nobody who is trusted here has signed" in way.refusal(way.url("", host="0.0.0.0"))


def test_a_server_of_the_network_without_tls_is_refused_unless_plaintext_is_allowed(way):
    server = way.without
    if isinstance(server, ExternalServer):
        pytest.skip("whether a server of others speaks TLS, they know")
    port = server.port  # type: ignore[attr-defined]  # a private one has
    told = way.refusal(way.url("", host="0.0.0.0", port=port))
    assert "it speaks no TLS" in told
    assert "sslmode=disable" in told
    assert way.connect(way.url("sslmode=disable", host="0.0.0.0", port=port)) is False


def test_plaintext_that_is_asked_for_is_plaintext_even_if_the_server_could_do_better(way):
    assert way.connect(way.url("sslmode=disable")) is False


def test_require_encrypts_whoever_it_is(way):
    assert way.connect(way.url("sslmode=require", host="127.0.0.1")) is True


def test_verify_ca_does_not_look_at_the_host(way):
    url = way.url(f"sslmode=verify-ca&sslrootcert={way.root}", host="127.0.0.1")
    assert way.connect(url) is True


def test_who_must_show_a_certificate_shows_it(way):
    mine = way.server.shown.client("guarded")
    guarded = way.verified(user=way.server.guarded)
    assert way.connect(f"{guarded}&sslcert={mine.file}&sslkey={mine.key}") is True
    way.leave_uvloop()
    with pytest.raises(Refused):
        way.connect(guarded)


# --- what is not, is refused ---


def test_a_certificate_for_another_host_is_refused(way):
    assert "its certificate is for another host" in way.refusal(way.verified(host="127.0.0.1"))


def test_what_nobody_trusted_has_signed_is_refused(way):
    told = way.refusal(way.url("sslmode=verify-full"))
    assert "nobody who is trusted here has signed its certificate" in told
    assert "sslrootcert=" in told


def test_tls_that_somebody_on_the_way_hides_is_refused_before_a_word_is_said(way):
    way.leave_uvloop()
    with stripping(way.server.port, mysql=way.database == "mysql") as proxy:
        # asyncmy asks for TLS whatever it is told, and may get it from the server behind.
        assert way.outcome(way.verified(port=proxy.port)) in (True, "hidden")
        assert b"celers" not in proxy.heard, "the user's name was sent in plaintext"
        # The proxy is one: without the check it would have been let through.
        assert way.connect(way.url("sslmode=disable", port=proxy.port)) is False
        assert b"celers" in proxy.heard


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [("ended", "has expired"), ("by itself", "nobody who is trusted here has signed")],
)
@ON_SERVERS
def test_a_certificate_that_does_not_count_is_refused(request, database, certificate, reason):
    server = request.getfixturevalue(f"tls_{database}")
    server.show(certificate)
    try:
        for name, (of, _) in DRIVERS.items():
            if of == database:
                assert reason in Way(request, name).refusal(Way(request, name).verified()), name
    finally:
        server.show("right")


@ON_SERVERS
def test_the_command_line_and_a_worker_say_it_in_one_line(request, database):
    driver = {"postgres": "psycopg", "mysql": "pymysql"}[database]
    way = Way(request, driver)
    url = way.verified(host="127.0.0.1")
    for command in (["stats"], ["worker", "-A", "tests.e2e.handlers"]):
        answer = run("--database", url, *command)
        lines = [line for line in answer.stderr.splitlines() if line.startswith("celers: error: ")]
        assert answer.returncode == 2, answer.stderr
        assert len(lines) == 1, answer.stderr
        assert re.search(
            r"127\.0\.0\.1:\d+/celers is not trusted: its certificate is for", lines[0]
        )
        assert "secret" not in answer.stderr


# --- what cannot be meant ---


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sslmode=verify", "sslmode='verify' in database.url is none of disable, require,"),
        ("sslmode=prefer", "sslmode=prefer in database.url protects nothing"),
        ("ssl_mode=PREFERRED", "sslmode=prefer in database.url protects nothing"),
        (
            "sslrootcert=/nowhere.pem",
            "sslrootcert of database.url, /nowhere.pem, cannot be used: No",
        ),
        ("sslrootcert=/dev/null", "sslrootcert of database.url, /dev/null, cannot be used: "),
        ("sslcert=/nowhere.pem", "sslcert of database.url, /nowhere.pem, cannot be used: No such"),
    ],
)
@pytest.mark.parametrize("make", [make_store, make_direct_store])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(scheme, make, query, problem):
    url = f"{scheme}://user@db.example.org/name?{query}"
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        make(url)


def test_a_key_that_is_locked_asks_nobody_at_the_terminal(tmp_path):
    from cryptography.hazmat.primitives import serialization

    from tests.tls.authority import Authority

    made = Authority(tmp_path).certificate("client", "client")
    key = serialization.load_pem_private_key(made.key.read_bytes(), None)
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    url = f"postgresql://db.example.org/n?sslcert={made.file}&sslkey={made.key}"
    with pytest.raises(ConfigurationError, match=r"sslcert of database\.url"):
        make_direct_store(url)
    make_direct_store(f"{url}&sslpassword=open%20sesame").close()
