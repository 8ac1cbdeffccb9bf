"""``hpo completion``: what a shell needs to complete commands, options and studies."""

from __future__ import annotations

import click

from hpo.cli.command import Command

HOW = {
    "bash": 'add to ~/.bashrc:  eval "$(hpo completion bash)"',
    "zsh": 'add to ~/.zshrc:  eval "$(hpo completion zsh)"',
    "fish": "write to a file:  hpo completion fish > ~/.config/fish/completions/hpo.fish",
}


@click.command(
    cls=Command,
    example='eval "$(hpo completion bash)"\nhpo completion fish > ~/.config/fish/completions/hpo.fish',
)
@click.argument("shell", type=click.Choice(list(HOW)))
def completion(shell: str) -> None:
    """Print the script that completes `hpo` in a shell."""
    from click.shell_completion import get_completion_class

    from hpo.cli.app import hpo

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(f"# {HOW[shell]}")
    click.echo(kind(hpo, {}, "hpo", "_HPO_COMPLETE").source())
