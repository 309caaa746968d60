"""Several nodes behind nginx, with a Redis between them: `python -m examples.cluster --nodes 3`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from examples.cluster.supervisor import Supervisor

BANNER = """
  http://127.0.0.1:{port}          the examples, behind nginx
  http://127.0.0.1:{port}/cluster  the nodes, with buttons that kill them

  {nodes}
  redis  127.0.0.1:{redis}
  Data in {directory}, gone with this. Ctrl-C stops everything.
"""


async def run(supervisor: Supervisor) -> None:
    """Run everything until a signal; a second one ends it all at once. Raises RuntimeError where it does not start."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            os._exit(1)  # the guard does the rest
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)
    stopping = asyncio.create_task(stop.wait())
    serving = asyncio.create_task(serve(supervisor))
    try:
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
    finally:
        stopping.cancel()
        serving.cancel()
        await asyncio.wait({stopping, serving})
        await supervisor.stop()


async def serve(supervisor: Supervisor) -> None:
    """Start, and tell so, and wait for what must not happen. Raises RuntimeError."""
    await supervisor.start()
    tell(supervisor)
    await supervisor.ended()
    raise RuntimeError("the guard was ended, without which programs might be left: everything stops")


def tell(supervisor: Supervisor) -> None:
    """Print what a person needs."""
    lines = [f"node {number} http://127.0.0.1:{port}" for number, port in enumerate(supervisor.node_ports, 1)]
    sys.stdout.write(
        BANNER.format(
            port=supervisor.port, nodes="\n  ".join(lines), redis=supervisor.redis_port, directory=supervisor.directory
        )
        + "\n"
    )
    sys.stdout.flush()


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m examples.cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, choices=range(1, 10), metavar="1-9")
    parser.add_argument("--port", type=int, default=8000, help="the port of nginx on 127.0.0.1")
    given = parser.parse_args()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", given.port))
        except OSError as error:
            sys.stdout.write(f"port {given.port}: {error.strerror}; PORT= chooses another one\n")
            return 1
    with tempfile.TemporaryDirectory(prefix="multitransport-", ignore_cleanup_errors=True) as directory:
        try:
            asyncio.run(run(Supervisor(given.nodes, given.port, Path(directory))))
        except RuntimeError as error:
            sys.stdout.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
