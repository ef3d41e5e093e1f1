"""``celers``: its global options, and its commands, each imported when it is asked for."""

from __future__ import annotations

import contextlib
import keyword
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import click

from celers_worker.cli import failure
from celers_worker.cli.invocation import Invocation
from celers_worker.core.names import nearest

NAME = "celers"
COMPLETION = "_CELERS_COMPLETE"

#: Every command with what it is for: ``celers --help`` imports none of them.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "worker": "Run tasks.",
        "enqueue": "Add a task.",
        "task": "List, show, change, cancel, retry and wait for tasks.",
        "dlq": "List, show, count, requeue and purge dead tasks.",
        "queue": "List, count, pause, resume, purge and audit queues.",
        "workflow": "List, show, cancel, retry and wait for workflows.",
        "schedule": "List, add, pause, trigger and preview schedules.",
        "workers": "List, show, quiet, scale, drain and stop workers.",
        "explain": "Say why a task does not run, and what would change that.",
        "failures": "Group the failed attempts by what went wrong.",
        "top": "Show what goes on, live.",
        "stats": "Say how the tasks that ended lately went.",
        "health": "Say whether everything is well, for probes.",
        "maintain": "Archive, recover, purge; vacuum, analyze; sizes and partitions.",
        "export": "Write tasks and what belongs to them as JSON Lines.",
        "import": "Read an export back, into any database.",
        "backup": "Write, list and verify backups.",
        "restore": "Bring a backup back.",
        "copy": "Copy or move everything to another database.",
        "handlers": "List the handlers of the application, and those that are held.",
        "grants": "Print the GRANTs that a producer, worker, viewer or operator needs.",
        "migrate": "Create the tables, or bring them up to date.",
        "bench": "Measure the database in a queue of its own.",
        "selftest": "Kill and freeze workers on your database, and see that nothing gets lost.",
        "doctor": "Find what is wrong with the database, and what mends it.",
        "check": "Check the configuration, the application and the database.",
        "init": "Write a configuration file and a first application.",
        "completion": "Print what makes a shell complete these commands.",
        "man": "Write the manual pages.",
    }
)


class Family(click.Group):
    """A group whose error for a wrong name holds the right one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the nearest."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            hint = nearest(name, known) or f" There are: {', '.join(known)}."
            ctx.fail(f"{ctx.command_path} has no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


class _Program(Family):
    """The program: lists its commands without importing them, and ends in one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        # The file of a command that Python keeps for itself ends with an underscore.
        file = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"celers_worker.cli.{file}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; the version is shown when all of them are known."""
        rest = super().parse_args(ctx, args)
        version, verbose = (ctx.params.pop(name, False) for name in ("version", "verbose"))
        if version and not ctx.resilient_parsing:
            from celers_worker.cli.version import show

            options = ctx.params
            show(
                Invocation(options["file"], options["database"], options["debug"]), verbose=verbose
            )
            ctx.exit()
        return rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Describe the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command and exit with its code."""
        if COMPLETION in os.environ:
            super().main(args, NAME, COMPLETION, **extra)
        arguments = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in arguments  # the parser takes the list apart
        _fill_gaps()
        _write_everything()
        if not debug:
            _hush_libraries()
        code = 0
        try:
            with self.make_context(NAME, arguments, **extra) as context:
                self.invoke(context)
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()
        except click.exceptions.Exit as stop:
            code = stop.exit_code
        except BrokenPipeError:
            _drop_output()  # `celers task list | head` has what it wanted
        except BaseException as error:  # SystemExit and Ctrl-C have codes of their own
            code = failure.report(error, debug=debug)
        sys.exit(code)


def _fill_gaps() -> None:
    """Open what our parent closed of stdin, stdout and stderr, or a socket gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _write_everything() -> None:
    """Write what the terminal's encoding does not have as an escape, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _hush_libraries() -> None:
    """Keep what libraries log off stderr: an error is one line, and ours. A worker adopts all."""
    logging.getLogger().addHandler(logging.NullHandler())


def _drop_output() -> None:
    """Let nothing be flushed to a pipe that nobody reads."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(NAME, cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.option("--verbose", is_flag=True, help="With --version: show all that a bug report needs.")
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration file; else $CELERS_CONFIG, else celers.toml.",
)
@click.option(
    "--database",
    metavar="URL",
    help="The database; else database.url of the configuration. A password is better kept in "
    "$CELERS_DATABASE_URL: everybody can read the arguments of a process.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def celers(context: click.Context, file: Path | None, database: str | None, debug: bool) -> None:
    """A task queue in the database you already have."""
    if os.environ.get("NO_COLOR"):
        context.color = False
    context.obj = Invocation(file, database, debug)
