"""The peers, from their registries into a private folder; what cannot be had is told in a line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import assert_never

from bench.peers.contestant import Contestant, Trouble

HERE = Path(__file__).parent
#: The oldest Node that the pinned peers run on.
NODE = (22, 18)
PATIENCE = 600.0
_DEBIAN_REDIS = Path("/usr/bin/redis-check-rdb")


class Installation:
    """The private folder: packages of npm in ``node``, a virtual environment for each Python."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def command(self, contestant: Contestant) -> tuple[str, ...]:
        """How its program is run, with what it needs installed. May raise Trouble."""
        match contestant.runtime:
            case "ours":
                return sys.executable, str(HERE / "python" / contestant.program)
            case "node":
                return str(self._node), str(self._folder / "node" / contestant.program)
            case "python":
                if sys.version_info < contestant.python:
                    needed = ".".join(map(str, contestant.python))
                    raise Trouble(
                        f"it needs Python {needed}: make clean, make PYTHON=python{needed} install"
                    )
                return str(self._python), str(HERE / "python" / contestant.program)
        assert_never(contestant.runtime)

    @cached_property
    def _node(self) -> Path:
        """Install what runs on Node, and return the Node to run it on."""
        npm = shutil.which("npm")
        if npm is None:
            raise Trouble("npm is not installed")
        place = self._folder / "node"
        place.mkdir(parents=True, exist_ok=True)
        for file in (HERE / "package.json", *(HERE / "node").glob("*.mjs")):
            shutil.copy(file, place)  # a module finds packages beside itself, and nowhere else
        _run([npm, "install", "--prefix", place, "--no-audit", "--no-fund", "--loglevel=error"])
        found = [*place.glob("node_modules/node-linux-*/bin/node"), shutil.which("node") or ""]
        node = Path(found[0])
        if not found[0] or _version_of(node) < NODE:
            raise Trouble(f"Node is older than {NODE[0]}.{NODE[1]}")
        return node

    @cached_property
    def _python(self) -> Path:
        """Install what runs on Python, and return its interpreter."""
        place = self._folder / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        python = place / "bin" / "python"
        if not python.exists():
            _run([sys.executable, "-m", "venv", place])
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--requirement", HERE / "requirements.txt"])
        return python

    def redis(self) -> Path:
        """A Redis server under its own name; Debian has it in the package of its tools, which,
        unlike that of the server, starts no service.
        """
        found = shutil.which("redis-server")
        if found is not None:
            return Path(found)
        if not _DEBIAN_REDIS.exists():
            if shutil.which("apt-get") is None or os.geteuid() != 0:
                raise Trouble("redis-server is not installed")
            _run(["apt-get", "-qq", "update"])
            _run(["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "redis-tools"])
        server = self._folder / "redis-server"
        server.unlink(missing_ok=True)
        server.symlink_to(_DEBIAN_REDIS)
        return server


def _version_of(node: Path) -> tuple[int, ...]:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, re.findall(r"\d+", answer.stdout)))


def _run(command: Sequence[str | Path]) -> None:
    program = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{program} failed: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise Trouble(f"{program} failed: {lines[-1]}")
