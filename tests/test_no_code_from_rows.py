"""Nothing of ours makes code of data: a row, an argument, an error can name no module or class."""

from __future__ import annotations

import ast
from pathlib import Path

import celers_worker

PACKAGE = Path(celers_worker.__file__).parent
NEVER = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "shelve", "dill", "yaml"}
#: What imports by name, and whose word it takes for that.
IMPORTS_BY_NAME = {
    "__init__.py": "the list of our own public names",
    "app/discovery.py": "the operator's configuration",
    "app/locating.py": "the worker's, of a handler that its application has declared",
    "cli/program.py": "the list of our own commands",
    "store/backends.py": "ours, or an installed package's entry point",
}
IMPORTERS = {"import_module", "resolve_name", "locate"}


def used(path: Path) -> set[str]:
    """The names that a file calls or imports; an attribute such as re.compile is none of them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name):
                found.add(name)
            case ast.Import(names=names):
                found |= {one.name.split(".")[0] for one in names}
            case ast.ImportFrom(module=module, names=names):
                found |= {(module or "").split(".")[0], *(one.name for one in names)}
            case ast.Attribute(attr=name) if name in IMPORTERS:
                found.add(name)
    return found


def test_nothing_is_evaluated_or_unpickled() -> None:
    found = {
        str(path.relative_to(PACKAGE)): sorted(used(path) & NEVER)
        for path in PACKAGE.rglob("*.py")
        if used(path) & NEVER
    }
    # SQLAlchemy's decorator that teaches a dialect to compile an expression is called compiles.
    assert found == {}


def test_only_what_the_operator_names_is_imported_by_name() -> None:
    found = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if used(path) & IMPORTERS
    }
    assert found == set(IMPORTS_BY_NAME)
