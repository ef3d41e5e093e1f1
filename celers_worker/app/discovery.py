"""Finding the application: ``-A module[:name]``, the configuration, or tasks.py where we stand."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from celers_worker.app.celers import Celers
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.names import nearest

DEFAULT_MODULE = "tasks"


def load_app(target: str = "", modules: Sequence[str] = ()) -> Celers:
    """Import *target* (``module`` or ``module:name``) and *modules*, and return the application.

    Without a *target*: the application of the only module among *modules* that has one, else that
    of ``tasks.py`` in the current directory. Raises ConfigurationError, which says what the user's
    module raised.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    imported = [_import(name) for name in modules]
    if target:
        module_name, _, attribute = target.partition(":")
        return _app_in(_import(module_name), attribute)
    if imported:
        apps = {id(app): app for module in imported for app in _apps_in(module).values()}
        if len(apps) == 1:
            return next(iter(apps.values()))
        raise ConfigurationError(
            f"the modules {', '.join(modules)} hold {len(apps)} Celers applications, not one: "
            "name it with -A module:name."
        )
    if find_spec(DEFAULT_MODULE) is None:
        raise ConfigurationError(
            f"there is no {DEFAULT_MODULE}.py in {here}: name the module of your application with "
            "-A module[:name], CELERS_APP or [worker] app."
        )
    return _app_in(_import(DEFAULT_MODULE), "")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and name.split(".")[0] == error.name.split(".")[0]:
            raise ConfigurationError(
                f"there is no module {name!r} in {Path.cwd()} or among the installed packages."
            ) from None
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> ConfigurationError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return ConfigurationError(
        f"the module {name!r} cannot be imported{place}: {type(error).__name__}: {error}"
    )


def _apps_in(module: ModuleType) -> dict[str, Celers]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Celers)}


def _app_in(module: ModuleType, attribute: str) -> Celers:
    apps = _apps_in(module)
    if attribute:
        value = getattr(module, attribute, None)
        if isinstance(value, Celers):
            return value
        what = "has no such name" if value is None else f"holds a {type(value).__name__} there"
        raise ConfigurationError(
            f"{module.__name__}:{attribute} is no Celers application: the module {what}."
            f"{nearest(attribute, apps)}"
        )
    distinct = {id(app): app for app in apps.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if "app" in apps:
        return apps["app"]
    found = f"several: {', '.join(sorted(apps))}" if apps else "none"
    raise ConfigurationError(
        f"the module {module.__name__!r} should hold one Celers application, but holds {found}. "
        f"Write app = Celers(), or name it: -A {module.__name__}:name."
    )
