"""The pages of docs/, and what runs their blocks as they stand there.

A comment before a block says what becomes of it:

    <!-- run: NAME -->       a shell runs it, and it must succeed
    <!-- fails: NAME -->     a shell runs it, and it must fail in one line
    <!-- file: PATH -->      it is written there
    <!-- settings: NAME -->  a test of its own uses it
    <!-- not run: REASON -->
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests import processes
from tests.servers import binary

DOCS = Path(__file__).parents[1] / "docs"
SECONDS = 100
_BLOCK = re.compile(
    r"<!-- (run|fails|file|settings|not run): ([^\n]+) -->\n```(\w+)\n(.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block with what its comment says."""

    kind: str
    name: str
    language: str
    text: str


@dataclass(frozen=True)
class Document:
    """A page, by its path below docs/."""

    path: str

    @cached_property
    def text(self) -> str:
        return (DOCS / self.path).read_text()

    @cached_property
    def marked(self) -> list[Block]:
        """The blocks that have a comment, in their order."""
        return [Block(*found) for found in _BLOCK.findall(self.text)]

    def block(self, kind: str, name: str) -> str:
        """The text of one of them."""
        [found] = [one.text for one in self.marked if (one.kind, one.name) == (kind, name)]
        return found

    def blocks(self, language: str) -> list[str]:
        """The texts of all blocks in some language, marked or not."""
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    @property
    def links(self) -> list[str]:
        """The files that it refers to, as it names them."""
        found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", self.text, flags=re.DOTALL))
        return [link.partition("#")[0] for link in found if "://" not in link and link[0] != "#"]


class Shell:
    """Runs commands in a directory, with our programs and nothing of ours in the environment."""

    def __init__(self, directory: Path, **variables: object) -> None:
        self.directory = directory
        own = [str(Path(sys.executable).parent), str(Path(binary("postgres")).parent)]
        self.environment = {
            **{name: value for name, value in os.environ.items() if "CELERS" not in name},
            "PATH": os.pathsep.join([*own, os.environ["PATH"]]),
            "HOME": str(directory),
            **{name: str(value) for name, value in variables.items()},
        }

    def execute(self, text: str, *, as_server: bool = False) -> subprocess.CompletedProcess[str]:
        """Run *text*, as we or as the user whom the servers run as."""
        command = ["bash", "-euo", "pipefail", "-c", text]
        return subprocess.run(
            processes.guarded(command) if as_server else command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def succeed(self, name: str, text: str, *, as_server: bool = False) -> str:
        """Run *text*, which must succeed; what it printed."""
        ended = self.execute(text, as_server=as_server)
        assert ended.returncode == 0, f"{name}: {ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr
