"""A plugin of pytest that breaks the worker of this process, as ``$CELERS_MUTANT`` says.

Not of the product: nothing of it is there unless a test names the plugin.
"""

from __future__ import annotations

import os

from tests.faults.mutants.mutants import MUTANTS


def pytest_configure() -> None:
    if name := os.environ.get("CELERS_MUTANT"):
        MUTANTS[name].breaks()
