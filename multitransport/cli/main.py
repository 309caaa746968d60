"""The command group."""

from __future__ import annotations

import click

from multitransport.cli.members import members
from multitransport.cli.publish import publish
from multitransport.cli.run import run
from multitransport.cli.tail import tail

__all__ = ["main"]


@click.group()
@click.version_option(package_name="multitransport")
def main() -> None:
    """Serve applications with multitransport; publish to their rooms and look into them from outside."""


for command in (run, publish, tail, members):
    main.add_command(command)
