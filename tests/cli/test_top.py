"""``celers top`` in a real terminal, on real databases."""

from __future__ import annotations

import fcntl
import re
import signal
import struct
import termios
from pathlib import Path

import pyte
import pytest

from celers_worker.store import control, survey
from celers_worker.store.direct import DirectStore
from celers_worker.store.overview import overview
from tests.cli import rows
from tests.cli.shell import Terminal, celers, environment, run
from tests.servers import PrivateServer, Server
from tests.waiting import eventually_sync

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
QUICK = ("top", "--interval", "0.1")


class Screen(Terminal):
    """A terminal of some size, and what a person sees on it now."""

    def __init__(self, *arguments: str, **changes: str) -> None:
        self._screen = pyte.Screen(150, 40)
        self._stream = pyte.Stream(self._screen)
        super().__init__(*arguments, COLUMNS="", LINES="", **changes)
        self.resize(40, 150)

    def resize(self, lines: int, columns: int) -> None:
        """Another size, as a person gives it to a window."""
        self._screen.resize(lines, columns)
        fcntl.ioctl(self._side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._process.send_signal(signal.SIGWINCH)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def see(self, text: str) -> None:
        """Wait until *text* stands on the screen."""

        def is_there() -> bool:
            self._read()
            assert text in self.text, f"the screen shows:\n{self.text}"
            return True

        eventually_sync(is_there, within=60)

    def see_at_the_end(self, text: str) -> None:
        """Wait until *text* stands in the last line."""

        def is_there() -> bool:
            self._read()
            assert text in self._screen.display[-1], f"the screen shows:\n{self.text}"
            return True

        eventually_sync(is_there, within=60)

    def see_no_more(self, text: str) -> None:
        """Wait until *text* does not stand there any more."""

        def is_gone() -> bool:
            self._read()
            return text not in self.text

        eventually_sync(is_gone, within=60)

    def _read(self) -> str | None:
        text = super()._read()
        if text:
            self._stream.feed(text)
        return text


def test_an_overview_holds_what_there_is(direct: DirectStore) -> None:
    rows.waiting(direct, 3, queue="emails")
    running = rows.running(direct, queue="emails")
    for error in ("ValueError: no order 17", "ValueError: no order 42", "KeyError: 'x'"):
        rows.dead(direct, error=error)
    rows.worker(direct, "send")
    direct.run(control.pause, "reports", "for a test")

    seen = direct.run(overview)

    queues = {one.name: one for one in seen.queues}
    assert (queues["emails"].pending, queues["emails"].processing) == (3, 1)
    assert queues["reports"].paused_at is not None
    assert [one.name for one in seen.workers] == ["mail-1"]
    [task] = seen.running
    assert (task.id, task.queue, task.worker, task.attempt) == (running, "emails", "worker-1", 1)
    assert sorted((one.error_type, one.dead) for one in seen.dead) == [
        ("KeyError", 1),
        ("ValueError", 2),
    ]
    assert sum(one.failed for one in seen.passages) == 3


def test_a_person_pauses_cancels_and_requeues(direct: DirectStore) -> None:
    rows.waiting(direct, 12, queue="emails")
    running = rows.running(direct, queue="emails")
    [dead] = rows.dead(direct, queue="emails", error="ValueError: no such user")
    rows.worker(direct, "send")

    def paused() -> bool:
        [queue] = direct.run(survey.list_queues)
        return queue.paused_at is not None

    with Screen(*QUICK) as screen:
        for text in ("mail-1", "no such user", str(running), "12 due, 1 run"):
            screen.see(text)
        screen.type("p")
        screen.see("emails (paused)")
        assert paused()
        screen.type("p")
        screen.see_no_more("emails (paused)")
        assert not paused()
        screen.type("c")
        screen.see(f"Cancel {running}?")
        screen.type("n")
        screen.see_no_more("[y/n]")
        assert not direct.run(overview).running[0].cancelling
        screen.type("c")
        screen.see("[y/n]")
        screen.type("y")
        screen.see("(cancelling)")
        screen.type("r")
        screen.see(f"requeued {dead}")
        screen.see_no_more("no such user")
        assert rows.state(direct, dead) == "pending"
        screen.type("?")
        screen.see("the next table")
        screen.type("x")
        screen.see_no_more("the next table")
        screen.type("q")
        assert screen.end() == 0
    assert "Traceback" not in screen.shown


@on_sqlite
def test_it_survives_another_size_of_its_window(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")
    with Screen(*QUICK) as screen:
        screen.see("emails")
        for lines, columns in ((12, 60), (50, 200), (20, 80)):
            screen.resize(lines, columns)
            screen.see_at_the_end("q quit")
        screen.see("emails")
        screen.type("q")
        assert screen.end() == 0


@on_sqlite
def test_ctrl_c_ends_it_and_the_terminal_is_as_before(direct: DirectStore) -> None:
    with Screen(*QUICK) as screen:
        screen.see("celers top")
        screen.type_ctrl_c()
        assert screen.end() == 0
    assert "\x1b[?1049l" in screen.shown, "the screen before is shown again"


def test_a_database_that_goes_away_is_told_of_and_found_again(
    database_server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(database_server, PrivateServer):
        pytest.skip("this server is not ours to kill")
    name = "postgres" if database_server.url.startswith("postgres") else "mysql"
    url: str = request.getfixturevalue(f"cli_{name}")
    monkeypatch.setenv("CELERS_DATABASE_URL", url)
    with Screen(*QUICK) as screen:
        screen.see("q quit")
        database_server.kill()
        screen.see("does not answer")
        database_server.start()
        screen.see_no_more("does not answer")
        screen.type("q")
        assert screen.end() == 0


@on_sqlite
def test_no_color_is_heeded(direct: DirectStore) -> None:
    rows.waiting(direct, queue="emails")
    with Screen(*QUICK, NO_COLOR="1") as screen:
        screen.see("emails")
        screen.type("q")
        assert screen.end() == 0
    colours = re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", screen.shown)
    assert all(red == green == blue for red, green, blue in colours)


@on_sqlite
def test_what_the_database_holds_cannot_play_with_the_terminal(direct: DirectStore) -> None:
    rows.waiting(direct, queue="[red]x\x1b]0;mine\x07")
    with Screen(*QUICK) as screen:
        screen.see("[red]x\\x1b]0;mine\\x07")
        screen.type("q")
        assert screen.end() == 0


@on_sqlite
def test_a_dumb_terminal_is_told_what_to_use_instead(direct: DirectStore) -> None:
    with Terminal("top", TERM="dumb") as terminal:
        assert terminal.end() == 2
    assert "TERM is dumb" in terminal.shown
    assert "celers queue list" in terminal.shown


def test_without_a_terminal_it_says_so() -> None:
    answer = celers("top")
    assert answer.code == 2
    assert "needs a terminal" in answer.err


def test_without_textual_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as it, sys\n"
        "find = it.find_spec\n"
        "it.find_spec = lambda name, *a: None if name == 'textual' else find(name, *a)\n"
    )
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    finished = run("top", env=environment(PYTHONPATH=paths))
    assert finished.returncode == 2
    assert "pip install 'celers-worker[top]'" in finished.stderr
