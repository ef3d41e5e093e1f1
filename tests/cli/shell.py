"""``celers`` as the tests call it: in this process, as a process, or on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from celers_worker.cli import main
from tests.waiting import eventually_sync

REPOSITORY = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "celers_worker"]
#: Longer than any command takes, on a machine that does much else.
SECONDS = 90


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def celers(*arguments: str, stdin: str | bytes | None = None) -> Answer:
    """Call it in this process; most tests do, for it is quick."""
    result = CliRunner().invoke(main, list(arguments), input=stdin)
    return Answer(result.exit_code, result.stdout, result.stderr)


def done(*arguments: str, stdin: str | bytes | None = None) -> Answer:
    """Call it and expect it to succeed."""
    answer = celers(*arguments, stdin=stdin)
    assert answer.code == 0, answer.err
    return answer


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it as a process with pipes."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "timeout": SECONDS,
            "check": False,
            "env": environment(),
        }
        | options,
    )


def environment(**changes: str) -> dict[str, str]:
    """Ours, with the package importable from every directory."""
    return os.environ | {"PYTHONPATH": str(REPOSITORY)} | changes


@contextlib.contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that goes on; it does not outlive the test."""
    defaults = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], **defaults | {"env": environment()} | options
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Terminal:
    """``celers`` with a terminal for a person who types."""

    def __init__(self, *arguments: str, **changes: str) -> None:
        self.shown = ""
        self._side, other = pty.openpty()
        self._process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment(TERM="xterm-256color", COLUMNS="100") | changes,
            start_new_session=True,
            # What is typed may be a signal, for those that the terminal controls.
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),
        )
        os.close(other)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._side)

    def expect(self, text: str) -> None:
        """Wait until *text* is shown."""

        def is_shown() -> bool:
            self._read()  # perhaps for the last time: what was shown before still counts
            return text in self.shown

        eventually_sync(is_shown, within=SECONDS)

    def type(self, text: str) -> None:
        os.write(self._side, text.encode())

    def type_ctrl_c(self) -> None:
        """Interrupt whatever is in the foreground, which is more than one process perhaps."""
        self.type("\x03")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        eventually_sync(lambda: self._read() is None, within=SECONDS)
        return self._process.wait(SECONDS)

    def _read(self) -> str | None:
        """What is new on the screen; None: nothing more will come."""
        text = ""
        while select.select([self._side], [], [], 0)[0]:
            try:
                data = os.read(self._side, 65_536)
            except OSError:  # Linux, when the other side is closed
                return None
            if not data:
                return None
            text += data.decode(errors="replace")
            self.shown += data.decode(errors="replace")
        return text


def errors(answer: Answer | subprocess.CompletedProcess[str]) -> Sequence[str]:
    """The lines of errors, without their beginning."""
    text = answer.err if isinstance(answer, Answer) else answer.stderr
    return [line.removeprefix("celers: error: ") for line in text.splitlines()]
