"""MySQL and MariaDB: a database."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import Connection, make_url, text

from celers_worker.core.errors import Forbidden, Refused
from celers_worker.store import make_direct_store
from celers_worker.store.premises.ground import PREFIX, Place
from celers_worker.store.premises.servers import PATIENCE, ServerGround


class MySQLGround(ServerGround):
    """A MySQL or MariaDB server."""

    def names(self) -> list[str]:
        """Those that this user sees."""
        rows = self.ask(
            "SELECT schema_name FROM information_schema.schemata"
            " WHERE LEFT(schema_name, :length) = :prefix",
            length=len(PREFIX),
            prefix=PREFIX,
        )
        return [row[0] for row in rows]

    def take(self, name: str, held: ExitStack) -> Place:
        """The named database if it is wanted, else one of its own."""
        if self.here:
            return self.take_here(name, held, self.url, sessions=False)
        url = make_url(self.url).set(database=name)
        # The lock is the server's, so it can be there before the database.
        self.hold(held.enter_context(make_direct_store(self.url, self.options)), name, held)
        try:
            self.ask(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        except Refused as error:
            user, _, host = self.ask("SELECT CURRENT_USER()")[0][0].rpartition("@")
            raise Forbidden(
                f"{user} may make no database for the selftest. Let an administrator run: GRANT "
                f"ALL ON `celers\\_selftest\\_%`.* TO '{user}'@'{host}'; or run, in a database "
                "without tables of Celers: celers selftest --here"
            ) from error
        return Place(
            url=url.render_as_string(hide_password=False),
            name=name,
            told=f"the database {name}",
            sessions=True,
        )

    def erase(self, place: Place) -> None:
        """Whichever of the two it is."""
        if self.here:
            self.erase_here()
        else:
            self._drop(place.name)

    def erase_unless_held(self, name: str) -> None:
        """The lock is asked of the server."""
        if self.try_lock(self.connection, name):
            self._drop(name)
            self.ask("SELECT RELEASE_LOCK(:name)", name=name)

    def try_lock(self, connection: Connection, name: str) -> bool:
        """A lock of the server's."""
        return bool(connection.execute(text("SELECT GET_LOCK(:name, 0)"), {"name": name}).scalar())

    def _drop(self, name: str) -> None:
        # DROP waits for the transactions in the database.
        self.end_sessions(name)
        self.ask(f"SET SESSION lock_wait_timeout = {PATIENCE}")
        self.ask(f"DROP DATABASE IF EXISTS `{name}`")
