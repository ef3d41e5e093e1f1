"""Traces of OpenTelemetry from who enqueues a task to its runs; needs the extra ``tracing``.

from celers_worker.tracing import Tracing

app.middleware(Tracing())
"""

from celers_worker.core.errors import ConfigurationError

try:
    from celers_worker.observe.tracing import Tracing
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ConfigurationError(
        "celers_worker.tracing needs the package opentelemetry-api, which is not installed. "
        "Run: pip install 'celers-worker[tracing]'"
    ) from error

__all__ = ["Tracing"]
