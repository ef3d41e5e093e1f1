"""SQLite: a file beside the named one, which is not even opened."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy import make_url

from celers_worker.core.errors import ConfigurationError, Refused
from celers_worker.store.base import StoreOptions
from celers_worker.store.premises.ground import PREFIX, Ground, Place, is_name

_DATABASE, _LOCK = ".db", ".lock"


class FileGround(Ground):
    """The folder of the named file."""

    def __init__(self, url: str, options: StoreOptions, *, here: bool) -> None:
        super().__init__(url, options, here=here)
        named = make_url(url).database
        if not named or named.startswith((":", "file:")):
            raise ConfigurationError(
                "the selftest needs the path of a file, beside which it makes its own. "
                "Run: celers selftest --url sqlite:///celers.db"
            )
        if here:
            raise ConfigurationError(
                "a file beside the named one can always be made: run celers selftest without --here"
            )
        self._folder = Path(named).absolute().parent

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No need: the lock of a place is there before its file."""
        try:
            yield
        except OSError as error:
            raise Refused(
                f"{error.filename or self._folder}: {error.strerror}. The selftest makes a file "
                "beside the named one: name one in a folder that you may write to."
            ) from None

    def erase_left(self) -> None:
        """Every place whose lock is free, and that is ours."""
        for lock in self._folder.glob(f"{PREFIX}*{_LOCK}"):
            if not is_name(lock.stem):
                continue
            # Held, gone meanwhile, or another user's.
            with (
                suppress(BlockingIOError, FileNotFoundError, PermissionError),
                lock.open("rb+") as file,
            ):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._remove(lock.stem)

    def take(self, name: str, held: ExitStack) -> Place:
        """A lock, by which it is found later, then the file."""
        lock = held.enter_context((self._folder / f"{name}{_LOCK}").open("xb"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = self._folder / f"{name}{_DATABASE}"
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        url = make_url(self.url).set(database=str(path)).render_as_string(hide_password=False)
        return Place(url=url, name=name, told=f"the file {path}", sessions=False)

    def erase(self, place: Place) -> None:
        """The file with what SQLite keeps beside it, and the lock last."""
        self._remove(place.name)

    def _remove(self, name: str) -> None:
        for end in ("-wal", "-shm", "-journal", ""):
            (self._folder / f"{name}{_DATABASE}{end}").unlink(missing_ok=True)
        (self._folder / f"{name}{_LOCK}").unlink(missing_ok=True)
