"""What went wrong: one line a problem on stderr, and an exit code.

0 done · 1 failed · 2 wrong usage or configuration · 130 interrupted
"""

from __future__ import annotations

import contextlib
import traceback

import click

from celers_worker.cli.output import printable
from celers_worker.core.errors import (
    CelersError,
    ConfigurationError,
    Forbidden,
    PayloadError,
    Refused,
    SchemaError,
    Unavailable,
    UnknownPooler,
    Untrusted,
)

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130

_GLOBAL = ("--config", "--database", "--debug", "--version")


class Failed(CelersError):
    """The command could not do what it was asked for; ``problems`` holds a sentence for each."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Interrupted(CelersError):
    """Ctrl-C ended the command; the message says what was done before."""


def report(error: BaseException, *, debug: bool) -> int:
    """Say on stderr what *error* is and return the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2; before, it printed the help itself
        _tell(str(error))
        return WRONG_USAGE
    if debug and not isinstance(error, (click.ClickException, click.Abort)):
        lines = "".join(traceback.format_exception(error)).splitlines()
        _tell("\n".join(printable(line) for line in lines))
    code, problems = _explained(error)
    word = "interrupted" if code == INTERRUPTED else "error"
    for problem in problems:
        _tell(f"celers: {word}: {_one_line(problem)}")
    if not problems:
        _tell(f"celers: {word}")
    return code


def warn(problem: str) -> None:
    """Say on stderr what is odd, and go on."""
    _tell(f"celers: warning: {_one_line(problem)}")


def _explained(error: BaseException) -> tuple[int, list[str]]:
    match error:
        case Interrupted():
            return INTERRUPTED, [str(error)]
        case KeyboardInterrupt() | click.Abort() | EOFError():
            return INTERRUPTED, []
        case click.UsageError():
            return WRONG_USAGE, [_usage(error)]
        case Failed() | ConfigurationError():
            code = FAILED if isinstance(error, Failed) else WRONG_USAGE
            return code, list(error.problems)
        case SchemaError() | PayloadError() | Refused():
            return WRONG_USAGE, [_reason(error)]
        case _:
            return FAILED, [_reason(error)]


def _reason(error: BaseException) -> str:
    match error:
        case click.ClickException():
            return error.format_message()
        case Forbidden() | Untrusted() | UnknownPooler():
            return str(error)
        case Refused(__cause__=Exception()):  # said by the server, not by us
            return f"{_sentence(error)} Mend database.url, or the rights of its user."
        case Unavailable():
            return f"{_sentence(error)} Is database.url right? See: celers check"
        case OSError(strerror=str()):
            return f"{error.filename or 'output'}: {error.strerror}."
        case CelersError() | OSError():
            return str(error)
        case _:
            return (
                f"{type(error).__name__}: {error}. This is a bug of celers-worker: "
                "run it again as `celers --debug …` and report the traceback."
            )


def _usage(error: click.UsageError) -> str:
    message = _sentence(error.format_message())
    name = getattr(error, "option_name", None)
    if isinstance(error, click.NoSuchOption) and name in _GLOBAL:
        message += f" It goes before the command: celers {name} …"
    if error.ctx is not None:
        message += f" See: {error.ctx.command_path} --help"
    return message


def _sentence(error: object) -> str:
    text = str(error).strip()
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads stderr: the exit code says it too
        click.echo(text, err=True)
