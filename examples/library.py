"""An application of Celers: reads files and says what is in them. ``examples/demo.py`` runs it.

celers worker -A examples.library:app --queue files
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from celers_worker import Celers, backoff

app = Celers()

# The parser warns of doubtful code. That is not ours but in the files that are read.
warnings.simplefilter("ignore", SyntaxWarning)

#: One tree at a time: CPython 3.11 counts the depths of all threads' trees together (gh-106905).
#: Rarely one fails so all the same, for others parse too, as traceback does; its retry succeeds.
_parsing = threading.Lock()
#: A file with a NUL among its first bytes is binary: git tells them apart in the same way.
HEAD = 8_192

# Both handlers are plain functions: they read files and compute, which would block an event loop,
# so the worker runs them in threads. A file that cannot be decoded may be one that somebody is
# writing right now, so it is looked at once more.


@app.task(queue="files", max_retries=1, backoff=backoff.fixed("200ms"), dead_on=SyntaxError)
def read_python(path: str) -> dict[str, str | int]:
    """Parse Python source. What is no Python now will be none in a moment: dead at once."""
    data = Path(path).read_bytes()
    source = importlib.util.decode_source(data)  # minds its coding line
    with _parsing:
        tree = ast.parse(source, path)
    nodes = Counter(type(node) for node in _statements(tree))
    return {
        "kind": "python",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "lines": len(data.splitlines()),
        "functions": nodes[ast.FunctionDef] + nodes[ast.AsyncFunctionDef],
        "classes": nodes[ast.ClassDef],
        "imports": nodes[ast.Import] + nodes[ast.ImportFrom],
    }


@app.task(queue="files", max_retries=1, backoff=backoff.fixed("200ms"))
def read_file(path: str) -> dict[str, str | int]:
    """Hash any file, and count the lines and words of text, which must be UTF-8."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        found: dict[str, str | int] = {"kind": "binary", "bytes": file.tell(), "sha256": digest}
        file.seek(0)
        if b"\0" in file.read(HEAD):
            return found
        file.seek(0)
        words = [len(line.decode().split()) for line in file]
    return found | {"kind": "text", "lines": len(words), "words": sum(words)}


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Only statements define and import: without the expressions it is a tenth of the walk."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, field, ()))
