"""MySQL and MariaDB: sessions in UTC, strict, READ COMMITTED; everything else is the base's."""

from __future__ import annotations

from typing import Any

from celers_worker.store.base import Store

#: For every session, also of the synchronous driver. The server's own defaults differ: local time,
#: silent truncation, latin1, and REPEATABLE READ, whose gap locks let a claim block every enqueue.
SESSION = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
ISOLATION = "READ COMMITTED"


class MySQLStore(Store):
    """The store on MySQL or MariaDB."""

    def _connect_arguments(self) -> dict[str, Any]:
        return {
            "charset": "utf8mb4",
            "init_command": SESSION,
            "connect_timeout": max(1, round(self.options.connect_timeout.total_seconds())),
        }

    def _engine_options(self) -> dict[str, Any]:
        return {"isolation_level": ISOLATION}
