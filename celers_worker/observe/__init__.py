"""Listeners to core.events: the only place that phrases logs and names metrics."""

import sys

# structlog loads rich where it is installed, to draw tracebacks that we write plainly. Each worker
# would hold 4 MiB for it, and take longer to start.
_hidden = "rich" not in sys.modules
if _hidden:
    # Of typeshed it is a dict of modules only; of the import system None means: not to be found.
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog as structlog
finally:
    if _hidden:
        del sys.modules["rich"]
