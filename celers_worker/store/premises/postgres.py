"""PostgreSQL: a database, where the user may make one and connect to it; else a schema."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import URL, Connection, make_url, text

from celers_worker.core.errors import Forbidden, StoreError
from celers_worker.store import make_direct_store
from celers_worker.store.postgres.session import with_settings
from celers_worker.store.premises.ground import PREFIX, Place
from celers_worker.store.premises.servers import ServerGround

#: The first half of our advisory locks, which are those of one database.
_CLASS = 722_765
_DATABASES = (
    "SELECT datname FROM pg_database"
    " WHERE starts_with(datname, :prefix) AND pg_has_role(datdba, 'MEMBER')"
)
_SCHEMAS = (
    "SELECT nspname FROM pg_namespace"
    " WHERE starts_with(nspname, :prefix) AND pg_has_role(nspowner, 'MEMBER')"
)


class PostgresGround(ServerGround):
    """A PostgreSQL server."""

    def names(self) -> list[str]:
        """Databases of the server, and schemas of the named one."""
        found = [self.ask(query, prefix=PREFIX) for query in (_DATABASES, _SCHEMAS)]
        return [row[0] for rows in found for row in rows]

    def take(self, name: str, held: ExitStack) -> Place:
        """The named database if it is wanted, else one of its own, else a schema."""
        if self.here:
            return self.take_here(name, held, _text(self._named(name)), sessions=True)
        try:
            return self._take_database(name, held)
        except StoreError:
            self._drop_database(name)
        return self._take_schema(name, held)

    def erase(self, place: Place) -> None:
        """Whichever of the three it is."""
        self.end_sessions(place.name)
        if self.here:
            self.erase_here()
        elif make_url(place.url).database == place.name:
            self.ask(f'DROP DATABASE IF EXISTS "{place.name}" WITH (FORCE)')
        else:
            self.ask(f'DROP SCHEMA IF EXISTS "{place.name}" CASCADE')

    def erase_unless_held(self, name: str) -> None:
        """A database's lock is asked inside it, a schema's here."""
        if self.ask("SELECT 1 FROM pg_namespace WHERE nspname = :name", name=name):
            if self.try_lock(self.connection, name):
                self.end_sessions(name)
                self.ask(f'DROP SCHEMA "{name}" CASCADE')
            return
        with (
            make_direct_store(_text(self._database(name)), self.options) as direct,
            self.session(direct) as asked,
            self.translated(direct.name),
        ):
            if not self.try_lock(asked, name):
                return
        self.ask(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def try_lock(self, connection: Connection, name: str) -> bool:
        """An advisory lock, which is the database's."""
        ask = text("SELECT pg_try_advisory_lock(:class, hashtext(:name))")
        return bool(connection.execute(ask, {"class": _CLASS, "name": name}).scalar())

    def _take_database(self, name: str, held: ExitStack) -> Place:
        # Whoever is connected to template1 would be in the way.
        self.ask(f'CREATE DATABASE "{name}" TEMPLATE template0')
        url = _text(self._database(name))
        with ExitStack() as trying:
            direct = trying.enter_context(make_direct_store(url, self.options))
            self.hold(direct, name, trying)
            held.enter_context(trying.pop_all())
        return Place(url=url, name=name, told=f"the database {name}", sessions=True)

    def _take_schema(self, name: str, held: ExitStack) -> Place:
        direct = held.enter_context(make_direct_store(self.url, self.options))
        self.hold(direct, name, held)
        try:
            self.ask(f'CREATE SCHEMA "{name}"')
        except Forbidden as error:
            user = self.ask("SELECT current_user")[0][0]
            database = make_url(self.url).database
            raise Forbidden(
                f"{user} may make neither a database nor a schema for the selftest. Let a "
                f'superuser run: ALTER ROLE "{user}" CREATEDB; or: GRANT CREATE ON DATABASE '
                f'"{database}" TO "{user}"; or run, in a database without tables of Celers: '
                "celers selftest --here"
            ) from error
        url = with_settings(self._named(name), {"search_path": name})
        return Place(url=_text(url), name=name, told=f"the schema {name}", sessions=True)

    def _drop_database(self, name: str) -> None:
        """One that was made, and that nobody may connect to."""
        self.ask(f'DROP DATABASE IF EXISTS "{name}"')

    def _database(self, name: str) -> URL:
        return self._named(name).set(database=name)

    def _named(self, name: str) -> URL:
        return with_settings(make_url(self.url), {"application_name": name})


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
