"""What the global options say: which configuration, which database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.config import Config, LoadedConfig
    from celers_worker.store import DirectStore

_NO_FLAGS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of ``celers``. What is heavy is imported when a command asks for it."""

    file: Path | None
    database: str | None
    debug: bool

    def at(self, url: str | None) -> Invocation:
        """The same for the database that a command's own ``--url`` names, if it names one."""
        if url is None:
            return self
        if self.database not in (None, url):
            raise ConfigurationError("--database and --url name two databases: give one of them.")
        return replace(self, database=url)

    def load_config(self, flags: Mapping[str, object] = _NO_FLAGS) -> LoadedConfig:
        """Read the configuration, with the command's own *flags* by dotted key."""
        from celers_worker.config import load_config

        return load_config(file=self.file, flags={"database.url": self.database, **flags})

    def config(self, flags: Mapping[str, object] = _NO_FLAGS) -> Config:
        """Read the configuration, without where its values come from."""
        return self.load_config(flags).config

    @contextmanager
    def store(self, config: Config | None = None) -> Iterator[DirectStore]:
        """The store, open. Raises StoreError or SchemaError if it cannot be used."""
        with self.closed_store(config) as store:
            store.open()
            yield store

    @contextmanager
    def closed_store(self, config: Config | None = None) -> Iterator[DirectStore]:
        """The store before anything was asked of the database, which may have no tables."""
        from celers_worker.store import StoreOptions, make_direct_store

        settings = (config or self.config()).database
        options = StoreOptions(
            connect_timeout=settings.connect_timeout,
            call_timeout=settings.call_timeout,
            pool_size=settings.pool_size,
            pooled=settings.pooler == "transaction",
        )
        with make_direct_store(settings.url, options) as store:
            yield store

    @contextmanager
    def patient_store(self, url: str | None = None) -> Iterator[DirectStore]:
        """The store, open, or that of *url*, for work whose statements may take minutes."""
        from celers_worker.store import StoreOptions
        from celers_worker.store.moving.patience import patient_store

        settings = self.config().database
        options = StoreOptions(
            connect_timeout=settings.connect_timeout,
            call_timeout=settings.call_timeout,
            pool_size=settings.pool_size,
            pooled=settings.pooler == "transaction",
        )
        with patient_store(url or settings.url, options) as store:
            store.open()
            yield store
