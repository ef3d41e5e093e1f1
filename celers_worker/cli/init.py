"""``celers init``: a configuration file and a first application."""

from __future__ import annotations

from pathlib import Path

import click

from celers_worker.cli.output import say
from celers_worker.core.errors import ConfigurationError

_TASKS = '''\
"""The tasks of this application. Run them with: celers worker"""

from celers_worker import Celers

app = Celers()


@app.task(max_retries=5, timeout="30s")
async def greet(name: str) -> str:
    return f"Hello, {name}!"
'''


@click.command("init")
@click.option("--force", is_flag=True, help="Overwrite celers.toml.")
def command(force: bool) -> None:
    """Write celers.toml, with every setting explained, and tasks.py unless there is one."""
    from celers_worker.config import example_config

    _write(Path("celers.toml"), example_config(), force=force)
    say("wrote celers.toml: every setting with its default; nothing must be changed.")
    if Path("tasks.py").exists():
        say("left tasks.py as it is.")
    else:
        _write(Path("tasks.py"), _TASKS, force=False)
        say("wrote tasks.py: an application with one handler.")
    say("")
    say("Try it:")
    say("  celers enqueue greet name=Ada")
    say("  celers worker --drain")
    say("  celers task list")


def _write(path: Path, content: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists and is left as it is: overwrite it with --force."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
