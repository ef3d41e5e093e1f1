"""Files of exports: either whole under their name, or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from celers_worker.core.errors import CelersError

#: Payloads may be secret, so others on the machine do not read them.
_MODE = 0o600
STANDARD = "-"


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name only when the block has ended well and the disk has it all."""
    if path.exists() and not path.is_file():
        # Also a device: the finished file would take its place.
        raise CelersError(f"{path} is no ordinary file: name one, or redirect standard output.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _MODE), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:  # whatever ends it, half a file must not stay
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    _sync_directory(path.parent)


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """A file that can be read twice: standard input is kept on the disk meanwhile."""
    if name != STANDARD:
        with Path(name).open("rb") as file:
            if not file.seekable():
                raise CelersError(f"{name} is no file: to read from a pipe, name it -")
            yield file
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept, 1024 * 1024)
        yield cast("BinaryIO", kept)


def _sync_directory(directory: Path) -> None:
    """Let the new name survive the loss of the machine too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
