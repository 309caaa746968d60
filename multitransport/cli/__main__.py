"""Makes `python -m multitransport.cli` the command `multitransport`."""

from multitransport.cli.main import main

main(prog_name="multitransport")
