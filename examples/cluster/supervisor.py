"""Several nodes, a Redis between them and an nginx before them, and what the page's buttons do to each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from examples.cluster.control import Control
from examples.cluster.process import Guard, Process
from examples.cluster.proxy import configuration

EXAMPLES = Path(__file__).resolve().parents[1]
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin:/usr/local/sbin:/opt/homebrew/bin"
PROBE_SECONDS = 2.0


class Supervisor:
    """Everything that `make demo NODES=3` runs. ``directory`` holds the data of Redis and the sockets."""

    def __init__(self, nodes: int, port: int, directory: Path) -> None:
        self.port = port
        self.directory = directory
        self._redis_directory = directory / "redis"
        self._redis_directory.mkdir()
        self._guard = Guard(directory)
        self.redis_port, *self.node_ports = free_ports(1 + nodes)
        self.redis = self._make_redis()
        secret = secrets.token_hex(32)
        self.nodes = [self._make_node(number, nodes, secret) for number in range(1, nodes + 1)]
        self.nginx = self._make_nginx()
        self._control = Control(self.state, self.press)
        self._lost = 0

    async def start(self) -> None:
        """Start everything, and wait until it serves. Raises RuntimeError where something ends before."""
        await self._guard.start()
        await self._control.start(self.directory / "control")
        await self.redis.start()
        await self.redis.ready()
        for node in self.nodes:
            await node.start()
        await asyncio.gather(*(node.ready() for node in self.nodes))
        await self.nginx.start()
        await self.nginx.ready()

    async def stop(self) -> None:
        """End everything: the nodes first, which send their clients off."""
        await self._control.stop()
        await asyncio.gather(*(node.stop() for node in self.nodes))
        await asyncio.gather(self.nginx.stop(), self.redis.stop())
        await self._guard.release()

    async def ended(self) -> None:
        """Wait until somebody has ended the guard."""
        await self._guard.ended()

    def state(self) -> dict[str, Any]:
        """Return how things are, for the page."""
        ports = {self.redis.name: self.redis_port, **{node.name: port for node, port in self._ported()}}
        told = [
            {"name": each.name, "state": each.state, "fault": each.fault, "pid": each.pid, "port": ports[each.name]}
            for each in (*self.nodes, self.redis)
        ]
        return {"nodes": told[:-1], "redis": {**told[-1], "lost": self._lost}}

    async def press(self, what: str, action: str) -> None:
        """Do what a button says. Raises KeyError where there is no such button."""
        process = {each.name: each for each in (*self.nodes, self.redis)}[what.replace("-", " ")]
        actions: dict[str, Callable[[], Awaitable[None] | None]] = {"kill": process.kill, "restart": process.restart}
        if process is self.redis:
            actions |= {"restart": self._revive, "lose": partial(self._revive, self._lose)}
        else:
            actions["terminate"] = process.terminate
        done = actions[action]()
        process.say(f"{action}: as asked on the page")
        if done is not None:
            await done

    async def _revive(self, between: Callable[[], None] | None = None) -> None:
        """Start Redis anew as after a crash."""
        self.redis.kill()
        await self.redis.restart(between)

    def _lose(self) -> None:
        shutil.rmtree(self._redis_directory)
        self._redis_directory.mkdir()
        self._lost += 1

    def _ported(self) -> list[tuple[Process, int]]:
        return list(zip(self.nodes, self.node_ports, strict=True))

    def _make_redis(self) -> Process:
        # Each command is on disk before it is answered, so that a kill costs nothing.
        options = {"bind": "127.0.0.1", "port": self.redis_port, "dir": self._redis_directory, "save": ""}
        options |= {"appendonly": "yes", "appendfsync": "always", "loglevel": "warning"}
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        probe = partial(asked, self.redis_port, b"PING\r\nQUIT\r\n", b"+PONG")
        return Process("redis", [program("redis-server"), *arguments], guard=self._guard, probe=probe, quiet=True)

    def _make_node(self, number: int, of: int, secret: str) -> Process:
        port = self.node_ports[number - 1]
        return Process(
            f"node {number}",
            [sys.executable, "-m", "multitransport.cli", "run", "app:app", "--port", str(port)],
            guard=self._guard,
            probe=partial(asked, port, b"GET /realtime/health HTTP/1.0\r\n\r\n", b"HTTP/1.1 200"),
            directory=EXAMPLES,
            environment={
                "CLUSTER_NODE": str(number),
                "CLUSTER_NODES": str(of),
                "CLUSTER_DIRECTORY": str(self.directory),
                "MULTITRANSPORT_BROKER": f"redis://127.0.0.1:{self.redis_port}/0",
                "SECRET_KEY": secret,
                "PYTHONUNBUFFERED": "1",
            },
        )

    def _make_nginx(self) -> Process:
        folder = self.directory / "nginx"
        folder.mkdir()
        file = folder / "nginx.conf"
        text = configuration(folder=folder, port=self.port, nodes=self.node_ports, control=self.directory / "control")
        file.write_text(text, encoding="utf-8")
        command = [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(file)]
        probe = partial(asked, self.port, b"GET /control/state HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", b"HTTP/1.1 200")
        return Process("nginx", command, guard=self._guard, probe=probe)


def program(name: str) -> str:
    """Return where a program is. Raises RuntimeError."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise RuntimeError(f"{name} is missing: `make demo NODES=3` installs it, or says how to")
    return found


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on at the moment."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


async def asked(port: int, question: bytes, wanted: bytes) -> str | None:
    """Ask what listens on a port; return why it does not answer as it should, or None where it does."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(question)
                answer = await reader.read()
            finally:
                writer.close()
    except TimeoutError:
        return "it does not answer"
    except OSError as error:
        return error.strerror or "it does not listen"
    return None if answer.startswith(wanted) else reason(answer)


def reason(answer: bytes) -> str:
    """Return what a node that is not ready says why."""
    try:
        return str(json.loads(answer.rpartition(b"\n")[2])["reason"])
    except (ValueError, LookupError, TypeError):
        return "it does not answer as it should"
