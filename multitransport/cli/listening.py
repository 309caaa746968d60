"""Opens the socket a command line names."""

from __future__ import annotations

import socket
import stat
from contextlib import suppress
from pathlib import Path

import click

__all__ = ["forget", "listen", "url_of"]

_MOST_PORTS = 65_535


def listen(bind: str, backlog: int) -> socket.socket:
    """Return a listening socket for ``host:port`` or ``unix:path``. Raises ClickException where that cannot be had."""
    try:
        if bind.startswith("unix:"):
            return _listen_at_path(Path(bind.removeprefix("unix:")), backlog)
        host, port = _host_and_port(bind)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise click.ClickException(f"cannot listen on {bind}: {reason}") from None


def _host_and_port(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _MOST_PORTS:
        raise click.ClickException(f"expected host:port or unix:path, not {bind!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _listen_at_path(path: Path, backlog: int) -> socket.socket:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()  # left by a process that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def forget(listener_url: str) -> None:
    """Remove the path of a listening socket, if it has one."""
    if listener_url.startswith("unix:"):
        Path(listener_url.removeprefix("unix:")).unlink(missing_ok=True)


def url_of(listener: socket.socket) -> str:
    """Return what to open in a browser, else the path of the socket."""
    address = listener.getsockname()
    if isinstance(address, str):
        return f"unix:{address}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])  # noqa: S104 - compared with, not listened on
    return f"http://[{host}]:{address[1]}" if listener.family == socket.AF_INET6 else f"http://{host}:{address[1]}"
