"""The application that commands load, with the configuration that applies to it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from celers_worker.app.discovery import load_app
from celers_worker.config.layers import URL, flag_of

if TYPE_CHECKING:
    from celers_worker.app import Celers
    from celers_worker.config import LoadedConfig


def load_application(loaded: LoadedConfig) -> tuple[Celers, LoadedConfig]:
    """Import the application; return it with the configuration that applies to it.

    The database of ``Celers("postgresql://…")`` goes before all but the flag, for that is where its
    producers enqueue. Raises ConfigurationError if there is no application that can be imported.
    """
    app = load_app(loaded.config.worker.app, loaded.config.worker.modules)
    loaded = with_own_database(app, loaded)
    app.client.config = loaded.config
    return app, loaded


def with_own_database(app: Celers, loaded: LoadedConfig) -> LoadedConfig:
    """*loaded*, with the database that the application names in its code."""
    if loaded.sources[URL] != flag_of(URL):
        config = app.client.with_own_url(loaded.config)
        if config is not loaded.config:
            sources = {**loaded.sources, URL: "the application"}
            return dataclasses.replace(loaded, config=config, sources=sources)
    return loaded
