"""What ARCHITECTURE.md says of the code, checked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import celers_worker

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "celers_worker"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 350
MOST_PUBLIC_NAMES = 15
#: The words that tell databases apart; a URL of the default file is none.
DATABASES = re.compile(r"\b(postgresql|mysql|sqlite(?!:///)|dialect)\b")


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The names and texts of the code, with their lines; docstrings and comments are none of it."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in documentation:
                yield node.lineno, text
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield node.lineno, name


def test_only_the_store_tells_databases_apart() -> None:
    # config knows the schemes of URLs: a wrong one is told before SQLAlchemy is imported.
    knowing = (PACKAGE / "store", PACKAGE / "config")
    found = [
        f"{place(path)}:{line}: {text!r}"
        for path in FILES
        if not any(path.is_relative_to(folder) for folder in knowing)
        for line, text in words(ast.parse(path.read_text()))
        if DATABASES.search(text)
    ]
    assert found == []


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    lengths = {place(path): len(path.read_text().splitlines()) for path in FILES}
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FILE}
    assert too_long == {}, "each has two nouns in it: split it"


def test_a_file_is_called_for_what_it_is() -> None:
    vague = re.compile("util|helper|common|manager|misc")
    assert [place(path) for path in FILES if vague.search(path.stem)] == []


def test_imports_point_down() -> None:
    pytest.importorskip("importlinter")
    finished = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_folder_of_migrations_does_not_hide_the_package_of_that_name() -> None:
    assert (ROOT / "alembic" / "env.py").exists()
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_there_are_few_public_names_and_each_of_them_exists() -> None:
    names = celers_worker.__all__
    assert len(names) <= MOST_PUBLIC_NAMES
    assert sorted(set(names)) == sorted(names)
    assert all(getattr(celers_worker, name) is not None for name in names)


def test_a_worker_on_postgresql_loads_nothing_that_it_does_not_need() -> None:
    """psycopg is for callers without a loop, and takes 10 MiB; rich is for tables, and takes 4."""
    code = (
        "import sys, celers_worker.cli.worker, celers_worker.process, celers_worker.worker;"
        "from celers_worker.store import make_store;"
        "make_store('postgresql://celers@localhost/celers');"
        "sys.exit('psycopg' in sys.modules or 'rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
