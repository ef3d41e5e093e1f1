"""Locating: how another process of the same application finds a handler again."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from celers_worker.app.celers import Celers
from celers_worker.app.client import Client
from celers_worker.app.declared import DeclaredTask
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.handler import Handler

#: What a program is called in a process of its handlers: nothing below ``__main__`` runs there.
PROGRAM = "__celers_child__"


def module_of(handler: Handler) -> str:
    """The module that declares *handler*, or the path of the program that does.

    Raises ConfigurationError if a process that imports it would not find the handler there.
    """
    name = handler.function.__module__
    module = sys.modules.get(name)
    names = {} if module is None else vars(module)
    if not any(_declared(names, handler.name)):
        raise ConfigurationError(
            f'{handler.place}: {handler.name} cannot have runs="process", for another process '
            f"would not find it in the module {name}. Declare it there at the top level, not "
            "inside a function."
        )
    if name != "__main__":
        return name
    if (spec := names.get("__spec__")) is not None:  # python -m shop.tasks
        return str(spec.name)
    return str(names["__file__"])


def found(module: str, name: str) -> tuple[Client, Handler]:
    """Import *module*, as ``module_of`` gave it, and return the handler called *name*.

    Raises ConfigurationError if it is not there, and whatever the import raises.
    """
    if module.endswith(".py"):
        names: Mapping[str, Any] = runpy.run_path(module, run_name=PROGRAM)
    else:
        names = vars(importlib.import_module(module))
    for declared in _declared(names, name):
        return declared
    raise ConfigurationError(f"the module {module!r} declares no handler {name!r} here.")


def _declared(names: Mapping[str, Any], name: str) -> Iterator[tuple[Client, Handler]]:
    for value in list(names.values()):
        if isinstance(value, DeclaredTask) and value.name == name:
            yield value.client, value.handler
        elif isinstance(value, Celers) and (handler := value.registry.get(name)) is not None:
            yield value.client, handler
