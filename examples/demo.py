"""Reads every file of a folder through a queue: one task a file, real failures, real retries.

    python -m examples.demo [FOLDER]

Without a folder it reads the standard library of this Python, whose tests bring files that are
broken on purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from celers_worker import CelersError
from examples.demo_summary import Database, summary
from examples.library import app, read_file, read_python

DATABASE = Path("celers-demo.db")
#: How often the progress is asked for, in seconds.
LOOK = 0.1
#: A worker that was told to stop gets so long, in seconds; the files it reads are small.
PATIENCE = 20.0
#: What Python made itself or was installed later is not the standard library's.
SKIPPED = {"__pycache__", "site-packages", "dist-packages"}

console = Console(markup=False, highlight=False)


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(slots=True)
class Found:
    """The files of a folder; *unnamed* have names that are no Unicode, so JSON cannot hold them."""

    files: list[Path] = field(default_factory=list)
    unnamed: int = 0
    closed: list[str] = field(default_factory=list)
    """Folders that may not be read."""


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("folder", nargs="?", help="what to read (default: the standard library)")
    folder = Path(parser.parse_args().folder or sysconfig.get_path("stdlib"))
    if not folder.is_dir():
        parser.error(f"{folder} is no folder." if folder.exists() else f"there is no {folder}.")
    _clear()
    found = find(folder)
    if not found.files:
        parser.error(f"there are no files in {folder}.")
    signal.signal(signal.SIGTERM, _leave)  # the worker must not outlive us
    try:
        run(folder, found)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return 130
    except (CelersError, DemoError) as error:
        console.print(f"The demo failed: {error}")
        return 1
    return 0


def find(folder: Path) -> Found:
    """Every regular file below *folder*. Links are not followed: they could lead out of it."""
    found = Found()
    walk = os.walk(folder.resolve(), onerror=lambda error: found.closed.append(error.filename))
    for place, folders, names in walk:
        folders[:] = sorted(name for name in folders if name not in SKIPPED and name[0] != ".")
        for name in sorted(names):
            path = os.path.join(place, name)
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            if _is_unicode(path):
                found.files.append(Path(path))
            else:
                found.unnamed += 1
    return found


def run(folder: Path, found: Found) -> None:
    """Enqueue a task for each file, let a worker run them, and tell what came of it."""
    count = len(found.files)
    # The one setting there is: this process enqueues there, and the worker inherits it.
    os.environ["CELERS_DATABASE_URL"] = f"sqlite:///{DATABASE}"
    console.print(f"{count:,} files in {folder}", soft_wrap=True)
    if found.unnamed:
        console.print(f"left out, as their names are no Unicode: {found.unnamed:,}")
    if found.closed:
        console.print(f"folders left out, as they may not be read: {len(found.closed):,}")
    began = time.monotonic()
    asyncio.run(enqueue(found.files))
    seconds = time.monotonic() - began
    console.print(f"{count:,} tasks enqueued in {seconds:.2f} s into {DATABASE}")
    with closing(Database(DATABASE)) as database:
        with tempfile.TemporaryFile() as log, Worker(log) as worker:
            watch(database, worker, count)
        summary(console, database, found_files=count)


async def enqueue(files: list[Path]) -> None:
    """One task a file, a thousand in one transaction."""
    try:
        await app.enqueue_many(
            (read_python if path.suffix == ".py" else read_file).call(path=str(path))
            for path in files
        )
    finally:
        await app.close()


class Worker:
    """A ``celers worker`` process; it leaves the block by SIGTERM and finishes what it runs."""

    def __init__(self, log: IO[bytes]) -> None:
        command = [sys.executable, "-m", "celers_worker", "worker", "-A", "examples.library:app"]
        command += ["--queue", "files", "--log-level", "warning"]
        self._log = log
        self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if kind is None and self._process.returncode != 0:
            raise self._failure()

    def check(self) -> None:
        """Raise DemoError if it has ended by itself."""
        if self._process.poll() is not None:
            raise self._failure()

    def _failure(self) -> DemoError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-10:]
        code = self._process.returncode
        return DemoError("\n".join([f"the worker ended with {code}. Its log ends:", *lines]))


def watch(database: Database, worker: Worker, total: int) -> None:
    """Show the progress as the database counts it, until every task has ended."""
    columns = (
        SpinnerColumn(finished_text=" "),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[dead]} dead"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("files", total=total, dead=0)
        while True:
            counts = database.progress()
            progress.update(bar, completed=counts.completed + counts.dead, dead=counts.dead)
            if counts.completed + counts.dead >= total:
                return
            worker.check()
            time.sleep(LOOK)


def _clear() -> None:
    """Remove what the last run left, before it is found and read: SQLite has two more files."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{DATABASE}{suffix}").unlink(missing_ok=True)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
