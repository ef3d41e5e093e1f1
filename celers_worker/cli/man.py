"""``celers man``: the manual pages, made of the help of the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from celers_worker.cli.failure import Failed
from celers_worker.cli.output import count, say
from celers_worker.version import __version__

_EXIT = (
    ("0", "done"),
    ("1", "failed"),
    ("2", "wrong usage or configuration"),
    ("130", "interrupted"),
)


@click.command("man")
@click.argument("directory", metavar="DIRECTORY", type=click.Path(path_type=Path, file_okay=False))
@click.pass_context
def command(context: click.Context, directory: Path) -> None:
    """Write the manual pages into DIRECTORY.

    For example into ~/.local/share/man/man1, where man looks for them.
    """
    root = context.find_root()
    written = 0
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for names, page in pages(root.command, (root.info_name or "celers",)):
            (directory / f"{'-'.join(names)}.1").write_text(page, encoding="utf-8")
            written += 1
    except OSError as error:
        raise Failed(f"{directory} cannot be written: {error.strerror}.") from error
    say(f"wrote {count(written, 'page')} to {directory}.")


def pages(
    command: click.Command, names: tuple[str, ...], parent: click.Context | None = None
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The page of *command*, and those of the commands below it, by their names."""
    # With its settings: click keeps the help option that it makes the first time it is asked.
    context = click.Context(command, info_name=names[-1], parent=parent, **command.context_settings)
    below: list[tuple[str, click.Command]] = []
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                below.append((name, found))
    yield names, "\n".join(_page(context, names, below)) + "\n"
    for name, found in below:
        yield from pages(found, (*names, name), context)


def _page(
    context: click.Context, names: Sequence[str], below: Sequence[tuple[str, click.Command]]
) -> Iterator[str]:
    command = context.command
    title = "-".join(names)
    yield f'.TH "{title.upper()}" "1" "" "celers-worker {__version__}" "Celers"'
    yield ".SH NAME"
    yield f"{_roff(title)} \\- {_roff(command.get_short_help_str(200).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_roff(' '.join(names))}"
    yield _roff(" ".join(command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield ".SH OPTIONS"
        yield from _list(records)
    if below:
        yield ".SH COMMANDS"
        yield from _list([(name, one.get_short_help_str(200)) for name, one in below])
    yield ".SH EXIT STATUS"
    yield from _list(_EXIT)
    if len(names) > 1:
        yield ".SH SEE ALSO"
        yield f".BR {_roff('-'.join(names[:-1]))} (1)"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        as_it_is = paragraph.lstrip().startswith("\b")
        lines = [line.strip("\b") for line in paragraph.strip("\n").split("\n")]
        if as_it_is:
            yield from (".nf", *(_roff(line) for line in lines if line.strip()), ".fi")
        else:
            yield _roff(" ".join(line.strip() for line in lines))


def _list(records: Sequence[tuple[str, str]]) -> Iterator[str]:
    for title, text in records:
        yield from (".TP", f".B {_roff(title)}", _roff(" ".join(text.split())))


def _roff(text: str) -> str:
    """*text* as roff shows it unchanged."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
