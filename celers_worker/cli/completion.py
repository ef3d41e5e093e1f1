"""``celers completion``: what makes a shell complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from celers_worker.cli.output import note


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    \b
    bash  celers completion bash > ~/.local/share/bash-completion/completions/celers
    zsh   celers completion zsh > "${fpath[1]}/_celers"
    fish  celers completion fish > ~/.config/fish/completions/celers.fish
    """
    from celers_worker.cli.program import COMPLETION, NAME

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells of the choice"
    program = context.find_root().command
    try:
        script = kind(program, {}, NAME, COMPLETION).source()
    except RuntimeError as error:  # click has looked which bash there is
        note(f"{error}: the script may not work here.")
        script = kind.source_template % kind(program, {}, NAME, COMPLETION).source_vars()
    click.echo(script)
