"""Runs the server in a process of its own, and starts another in its place whenever a source file changes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from multitransport.cli.watching import changed, snapshot

__all__ = ["Lifeline", "run_reloading"]

_VARIABLE = "MULTITRANSPORT_LIFELINE"
_INTERVAL_SECONDS = 0.25
_SETTLE_SECONDS = 0.05
_KILL_SECONDS = 3.0


class Lifeline:
    """What a server has from the process that watches it: the socket, and a pipe that closes when that is gone."""

    def __init__(self, listener: socket.socket, pipe: int) -> None:
        self.listener = listener
        threading.Thread(target=self._end_with, args=(pipe,), daemon=True).start()

    @classmethod
    def of_this_process(cls) -> Lifeline | None:
        """Return it where this process was started by ``run_reloading``."""
        value = os.environ.pop(_VARIABLE, None)  # no process started from here is to take it for its own
        if value is None:
            return None
        listener, pipe = map(int, value.split(","))
        return cls(socket.socket(fileno=listener), pipe)

    @staticmethod
    def _end_with(pipe: int) -> None:
        os.read(pipe, 1)
        os.kill(os.getpid(), signal.SIGTERM)


def run_reloading(listener: socket.socket, *, grace_seconds: float) -> None:
    """Run this very command as often as a file changes, until a signal. A second signal kills."""
    if sys.platform == "win32":
        raise click.ClickException("--reload hands a socket to a new process, which Windows cannot")
    stop = threading.Event()
    read_end, write_end = os.pipe()
    server = _ReloadedServer(listener, read_end, grace_seconds)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: server.kill() if stop.is_set() else stop.set())
    seen = snapshot(Path.cwd())
    while not stop.is_set():
        server.start()
        seen = _wait_for_change(seen, stop, server)
        server.end()
    os.close(write_end)


def _wait_for_change(seen: dict[str, int], stop: threading.Event, server: _ReloadedServer) -> dict[str, int]:
    interval = _INTERVAL_SECONDS
    while not stop.wait(interval):
        server.report_end()
        begun = time.monotonic()
        found = snapshot(Path.cwd())
        interval = max(_INTERVAL_SECONDS, 10 * (time.monotonic() - begun))  # a large tree must not keep a core busy
        names = changed(seen, found)
        if names:
            click.echo(f"{', '.join(names[:3])} changed: starting anew")
            return _settled(found)
    return seen


def _settled(found: dict[str, int]) -> dict[str, int]:
    """Return what is there once nothing changes any more: an editor or a checkout writes in several steps."""
    time.sleep(_SETTLE_SECONDS)
    while (again := snapshot(Path.cwd())) != found:
        found = again
        time.sleep(_SETTLE_SECONDS)
    return found


class _ReloadedServer:
    def __init__(self, listener: socket.socket, pipe: int, grace_seconds: float) -> None:
        self._descriptors = (listener.fileno(), pipe)
        self._listener = listener
        self._grace_seconds = grace_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # A session of its own: Ctrl-C in a terminal reaches the watcher alone, which ends the server once, not twice.
        self._process = subprocess.Popen(  # noqa: S603 - the command this process was started by
            [sys.executable, "-m", "multitransport.cli", *sys.argv[1:]],
            env={**os.environ, _VARIABLE: "{},{}".format(*self._descriptors)},
            pass_fds=self._descriptors,
            start_new_session=True,
        )

    def report_end(self) -> None:
        """Say so once, where the server ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            click.echo(f"the server ended with code {self._process.returncode}; waiting for a file to change")
            self._process = None

    def end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._grace_seconds + _KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
