"""The command group."""

from __future__ import annotations

import click

from multitransport.cli.run import run

__all__ = ["main"]


@click.group()
@click.version_option(package_name="multitransport")
def main() -> None:
    """Serve applications with multitransport."""


main.add_command(run)
