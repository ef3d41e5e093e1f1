"""An export → a database: in batches of a thousand, each committed, twice the same for nothing.

Killed in the middle, the next run finds what is there already and adds the rest. Workers may run
meanwhile: a task that has run and ended here is known by its id and does not come again, as long as
the archive keeps what completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from celers_worker.core.errors import CelersError, ExportError
from celers_worker.moving.progress import Advance, Stop, in_silence, never
from celers_worker.moving.reading import ExportReader, Line
from celers_worker.store import DirectStore
from celers_worker.store.moving.arrival import Conflict
from celers_worker.store.moving.loading import AlreadyThere, Loaded, load
from celers_worker.store.moving.pages import PAGE_WEIGHT
from celers_worker.store.moving.parts import chosen_parts
from celers_worker.store.values import CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How rows come in."""

    conflict: Conflict = Conflict.SKIP
    as_pending: bool = False
    only: tuple[str, ...] = ()
    dry_run: bool = False
    partial: bool = False
    """Take what is valid of a damaged file, up to the fault."""


@dataclass(slots=True)
class Tally:
    """What has become of the rows so far."""

    added: dict[str, int] = field(default_factory=dict)
    replaced: int = 0
    known: int = 0
    held: int = 0
    first_held: str = ""
    fault: str = ""
    """What is wrong with a file that was taken in part."""
    finished: bool = False

    @property
    def dealt_with(self) -> int:
        """How many rows that is."""
        return sum(self.added.values()) + self.replaced + self.known + self.held

    def add(self, part: str, loaded: Loaded) -> None:
        """Count one more batch."""
        self.added[part] = self.added.get(part, 0) + loaded.added
        self.replaced += loaded.replaced
        self.known += loaded.known
        self.held += len(loaded.held)
        if loaded.held and not self.first_held:
            self.first_held = f"{part} {', '.join(map(str, loaded.held[0]))}"


def import_rows(
    store: DirectStore,
    reader: ExportReader,
    options: ImportOptions,
    *,
    advance: Advance = in_silence,
    stop: Stop = never,
) -> Tally:
    """Load the file that *reader* has verified, and say what became of its rows.

    With ``Conflict.FAIL`` everything is looked up before anything is written. Raises CelersError
    for the first row that is there, StoreError if the database fails; batches before it stay.
    """
    if options.conflict is Conflict.FAIL and not options.dry_run:
        _load(store, reader, options, dry_run=True, advance=in_silence, stop=stop)
    return _load(store, reader, options, dry_run=options.dry_run, advance=advance, stop=stop)


def _load(
    store: DirectStore,
    reader: ExportReader,
    options: ImportOptions,
    *,
    dry_run: bool,
    advance: Advance,
    stop: Stop,
) -> Tally:
    tally = Tally()
    wanted = {part.name for part in chosen_parts(options.only)}
    faults: list[str] = []
    lines = reader.lines()
    if options.partial:
        lines = _valid(lines, faults)
    for batch in batches(line for line in lines if line.part.name in wanted):
        if stop():
            return tally
        part = batch[0].part
        try:
            loaded = store.run(
                load,
                part,
                [line.row for line in batch],
                conflict=options.conflict,
                as_pending=options.as_pending,
                dry_run=dry_run,
            )
        except AlreadyThere as error:
            raise CelersError(
                f"{error}, and --on-conflict is fail: {_changed(tally, dry_run)}. "
                "To keep what is there: --on-conflict skip"
            ) from None
        tally.add(part.name, loaded)
        advance(len(batch))
    tally.finished = True
    tally.fault = "".join(faults)
    return tally


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines of one part together, at most a thousand and of a bounded weight."""
    batch: list[Line] = []
    weight = 0
    for line in lines:
        full = len(batch) >= CHUNK or weight > PAGE_WEIGHT
        if batch and (full or line.part is not batch[0].part):
            yield batch
            batch, weight = [], 0
        batch.append(line)
        weight += sum(len(value) for value in line.row.values() if isinstance(value, (bytes, str)))
    if batch:
        yield batch


def _valid(lines: Iterator[Line], faults: list[str]) -> Iterator[Line]:
    try:
        yield from lines
    except ExportError as error:
        faults.append(str(error))


def _changed(tally: Tally, dry_run: bool) -> str:
    added = sum(tally.added.values())
    return "nothing was changed" if dry_run or not added else f"{added:,} rows before it are in"
