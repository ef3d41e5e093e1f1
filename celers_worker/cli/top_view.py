"""What ``celers top`` shows: four tables, a line of figures above and one of keys below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Static

from celers_worker.cli.output import age, count, printable, span
from celers_worker.cli.top_look import Look

if TYPE_CHECKING:
    from celers_worker.core.failures import FailureGroup
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.overview import Overview
    from celers_worker.store.running import RunningTask

_TABLES = {
    "queues": ("queue", "due", "later", "runs", "dead", "oldest", "ends/s", "wait p95", "run p95"),
    "workers": ("worker", "state", "runs", "host", "pid", "seen"),
    "running": ("running", "task", "queue", "attempt", "for", "worker"),
    "failures": ("dead lately", "count", "last", "error"),
}
_HELP = """\
Tab         the next table
p           pause the chosen queue, or resume it
c           cancel the chosen running task; it asks first
r           requeue the newest dead task of the chosen kind
?           this help
q, Ctrl-C   quit

"due" tasks wait for a worker, "later" ones for their time. Rates and spans are those of the
last minute. A worker follows a cancellation at its next heartbeat.

Any key goes back."""


class _Help(ModalScreen[None]):
    """What the keys do."""

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(_HELP, classes="box")

    def on_key(self) -> None:
        """Go back."""
        self.dismiss()


class _Question(ModalScreen[bool]):
    """Asks before what cannot be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape", "answer(False)", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(Text(f"{self._question} [y/n]"), classes="box")

    def action_answer(self, answer: bool) -> None:
        """Take the answer."""
        self.dismiss(answer)


class Top(App[None]):
    """The program on the terminal."""

    CSS = """
    Static#line { height: 1; background: $panel; }
    DataTable { height: 1fr; }
    DataTable#workers { height: auto; max-height: 8; }
    _Help, _Question { align: center middle; }
    .box { width: auto; height: auto; border: round $accent; padding: 1 2; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause_or_resume", "pause/resume"),
        Binding("c", "cancel", "cancel"),
        Binding("r", "requeue", "requeue"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q,ctrl+c", "quit", "quit", priority=True, key_display="q"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, store: DirectStore, interval: float) -> None:
        super().__init__()
        self._database = store.name
        self._seen: Overview | None = None
        self._told = ""
        self._look = Look(
            store,
            interval,
            on_seen=lambda seen: self.call_from_thread(self.show, seen),
            on_lost=lambda error: self.call_from_thread(self.tell, error),
            on_done=lambda done: self.call_from_thread(self.tell, done),
        )

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(id="line")
        with Vertical():
            for name in _TABLES:
                yield DataTable(id=name, cursor_type="row", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        for name, titles in _TABLES.items():
            self._table(name).add_columns(*titles)
        self._table("queues").focus()
        self._write_line()
        self._look.start()

    def on_unmount(self) -> None:
        """Look no more."""
        self._look.stop()

    # --- what is shown ---

    def show(self, seen: Overview) -> None:
        """Show what was seen."""
        if self._seen is None or self._told.startswith(self._database):
            self._told = ""  # of an outage
        self._seen = seen
        ended = {one.key: one for one in seen.passages}
        queues = []
        for one in seen.queues:
            figures = ended.get(one.name)
            queues.append(
                (
                    f"{one.name} (paused)" if one.paused_at else one.name,
                    f"{one.pending:,}",
                    f"{one.scheduled + one.blocked:,}",
                    f"{one.processing:,}",
                    f"{one.dead:,}",
                    _span(one.oldest_pending),
                    f"{figures.per_second:.1f}" if figures else "",
                    _span(figures.wait.p95) if figures else "",
                    _span(figures.run.p95) if figures else "",
                )
            )
        self._fill("queues", [one.name for one in seen.queues], queues)
        self._fill(
            "workers",
            [one.id for one in seen.workers],
            [
                (
                    one.name,
                    one.state,
                    f"{one.running}/{one.concurrency}",
                    one.host,
                    str(one.pid),
                    f"{span(max(one.age, 0.0))} ago",
                )
                for one in seen.workers
            ],
        )
        self._fill("running", [str(one.id) for one in seen.running], map(_running, seen.running))
        keys = [str(one.samples[0]) for one in seen.dead]
        self._fill("failures", keys, map(_failed, seen.dead))
        self._write_line()

    def tell(self, text: str) -> None:
        """Say a sentence in the first line, until there is another."""
        self._told = text
        self._write_line()

    def _write_line(self) -> None:
        words = f"celers top  {self._database}"
        if self._seen is not None:
            live = [one for one in self._seen.workers if one.state != "lost"]
            waiting = sum(one.pending for one in self._seen.queues)
            running = sum(one.processing for one in self._seen.queues)
            rate = sum(one.per_second for one in self._seen.passages)
            words += f"  {count(len(live), 'worker')}, {waiting:,} due, {running:,} run"
            words += f", {rate:.1f} end a second"
        line = Text(f"{words}  ", no_wrap=True, overflow="ellipsis")
        if self._told:
            # First, for it is what a person waits for, and the line may be too long.
            line = Text(f"{printable(self._told)}  ", style="bold", no_wrap=True).append_text(line)
        self.query_one("#line", Static).update(line)

    def _fill(self, name: str, keys: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
        """Put other rows into a table, and leave the cursor on what was chosen."""
        table = self._table(name)
        chosen, line = self._chosen(name), table.cursor_row
        table.clear()
        for key, row in zip(keys, rows, strict=True):
            table.add_row(*(Text(printable(text)) for text in row), key=key)
        if chosen is not None and chosen in keys:
            line = list(keys).index(chosen)
        table.move_cursor(row=min(line, max(len(keys) - 1, 0)))

    # --- what keys do ---

    def action_pause_or_resume(self) -> None:
        """Pause the chosen queue, or resume it."""
        name = self._chosen("queues")
        if name is None or self._seen is None:
            self.tell("there is no queue to pause")
            return
        paused = {one.name: one.paused_at is not None for one in self._seen.queues}
        self._look.toggle(name, paused=paused.get(name, False))

    def action_cancel(self) -> None:
        """Cancel the chosen task, if a person confirms it."""
        chosen = self._chosen("running")
        if chosen is None:
            self.tell("nothing runs that could be cancelled")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._look.cancel(UUID(chosen))

        self.push_screen(_Question(f"Cancel {chosen}?"), answered)

    def action_requeue(self) -> None:
        """Requeue the newest dead task of the chosen kind."""
        chosen = self._chosen("failures")
        if chosen is None:
            self.tell("no task is dead")
        else:
            self._look.requeue(UUID(chosen))

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(_Help())

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#{name}", DataTable)

    def _chosen(self, name: str) -> str | None:
        """The key of the row under the cursor."""
        table = self._table(name)
        if not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value


def _span(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _running(one: RunningTask) -> tuple[str, ...]:
    words = f"{one.name} (cancelling)" if one.cancelling else one.name
    return words, str(one.id), one.queue, str(one.attempt), span(one.age), one.worker or ""


def _failed(one: FailureGroup) -> tuple[str, ...]:
    told = f"{one.error_type}: {one.message}" if one.message else one.error_type
    return one.name, str(one.dead), age(one.last_seen), told
