"""The commands that act on rooms from a shell, over a real Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from multitransport.cli.main import main
from multitransport.core.log import Retention
from multitransport.core.publication import Draft
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.outside import ROOMS, ROOT, command, declare_rooms
from tests.redis_nodes import Node, nodes
from tests.redis_server import RedisServer

CHAT = ROOMS[0].retention
LOAD = ROOMS[2].retention
PRESENCE = Retention(keys=100, seconds=60.0, bytes=1 << 20)


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        await declare_rooms(server.url)
        yield server


@pytest_asyncio.fixture
async def node(redis: RedisServer) -> AsyncIterator[Node]:
    async with nodes(redis.url) as [made]:
        yield made


async def invoke(url: str | None, *arguments: str, stdin: str | None = None) -> Result:
    """Run the command to its end, in a thread of this process."""
    environment = {"MULTITRANSPORT_BROKER": url}
    return await asyncio.to_thread(CliRunner().invoke, main, arguments, input=stdin, env=environment)


# publish


@pytest.mark.parametrize("json", ['{"n": 1}', '"text"', "null", "1.5"])
async def test_publish_says_where_it_is(redis: RedisServer, node: Node, json: str) -> None:
    witness = await node.watch("chat/a", CHAT)
    done = await invoke(redis.url, "publish", "chat/a", "said", json)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"published to chat/a, at {witness.log.epoch}:1\n"
    await eventually(lambda: witness.read)
    assert msgspec.json.decode(witness.data[0]) == msgspec.json.decode(json)


async def test_publish_by_the_real_command(redis: RedisServer, node: Node) -> None:
    witness = await node.watch("chat/a", CHAT)
    done = await command("publish", "chat/a", "said", "-", url=redis.url, stdin=b'["from", "a pipe"]\n')
    assert (done.returncode, done.stderr) == (0, "")
    await eventually(lambda: witness.data == [b'["from","a pipe"]'])


async def test_publish_takes_keys_ids_and_what_is_volatile(redis: RedisServer, node: Node) -> None:
    log = (await node.watch("load/1", LOAD)).log
    for options in (["0.5", "--key", "cpu"], ["--key", "cpu", "--delete"], ["0.1", "--key", "disk"]):
        assert (await invoke(redis.url, "publish", "load/1", "load", *options)).exit_code == 0
    await eventually(lambda: log.top == 3)
    first, again = [await invoke(redis.url, "publish", "chat/a", "said", "1", "--id", "x") for _ in "12"]
    assert first.stdout == again.stdout
    await node.watch("chat/b", CHAT)
    done = await invoke(redis.url, "publish", "chat/b", "typing", "--volatile")
    assert done.stdout == "published to chat/b, kept nowhere\n"
    await eventually(lambda: node.flashed == [("chat/b", b"null")])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere", "said"], 1, "no room is declared that 'nowhere' fits (unknown_room)"),
        (["@user/ann", "said"], 1, "only the application publishes"),
        (["chat/a", "said", "text"], 2, "it is not JSON"),
        (["chat/a", "said", '{"a":'], 2, "it is not JSON"),
        (["chat/a", "said", "\udcff"], 2, "it is not JSON"),
        (["chat/a", ""], 1, "event is 1 to 255 characters"),
        (["chat/a", "said", "--key", "k"], 1, "only there"),
        (["load/1", "load", "--delete"], 1, "say key="),
        (["chat/a", "said", "--prefix", "a b"], 2, "a prefix has letters"),
        (["chat/a", "said", "--broker", "memory"], 2, "give both a Redis"),
        (["chat/a", "said", "--prefix", "other"], 1, "no application has run yet"),
    ],
)
async def test_what_is_not_published_is_said_in_a_line(
    redis: RedisServer, arguments: list[str], status: int, message: str
) -> None:
    done = await invoke(redis.url, "publish", *arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["publish", "chat/a", "said", "--timeout", "0.3"], ["tail", "a"], ["members", "a"]]
)
async def test_redis_away_has_a_status_of_its_own(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multitransport.cli.outside.TIMEOUT_SECONDS", 0.3)
    done = await invoke(f"redis://:secret@127.0.0.1:{free_port()}", *arguments)
    assert done.exit_code == 75
    assert "Connect call failed" in done.stderr.splitlines()[-1]
    assert "secret" not in done.output


async def test_without_a_redis_it_is_said_how_to_name_one() -> None:
    done = await invoke(None, "publish", "chat/a", "said")
    assert done.exit_code == 2
    assert "Missing option '--broker' (env var: 'MULTITRANSPORT_BROKER')" in done.stderr


# tail


class Tail:
    """A ``multitransport tail`` that runs, and the lines it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.complaints: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = [
            asyncio.create_task(self._read(process.stdout, self.lines)),
            asyncio.create_task(self._read(process.stderr, self.complaints)),
        ]

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode().rstrip("\n"))  # noqa: PERF401 - each as it comes

    @property
    def objects(self) -> list[Any]:
        return [msgspec.json.decode(line) for line in self.lines]

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal it, and return its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        await asyncio.gather(*self._reading)
        return await self.process.wait()


@asynccontextmanager
async def tailing(url: str, *arguments: str) -> AsyncIterator[Tail]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "multitransport.cli", "tail", *arguments, "--broker", url),
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    tail = Tail(process)
    try:
        yield tail
    finally:
        await tail.end(signal.SIGKILL)


async def test_tail_prints_history_and_what_comes_until_ctrl_c(redis: RedisServer, node: Node) -> None:
    for n in range(12):
        await node.say("chat/a", b'"%d"' % n, CHAT)
    async with tailing(redis.url, "chat/a") as tail:
        await eventually(lambda: len(tail.lines) == 10, 20.0)
        await node.say("chat/a", b'{"text":"\xc2\x9b1mhi \xc3\xa4"}', CHAT)
        await node.broker.publish("chat/a", Draft("file", b"\x00\x01", binary=True), CHAT)
        await node.broker.flash("chat/a", Draft("typing", b"1"))
        await eventually(lambda: len(tail.lines) == 13)
        assert await tail.end() == 130
    assert tail.lines[0] == '     3  said  "2"'
    assert tail.lines[10:] == ['    13  said  {"text":"\\u009b1mhi ä"}', "    14  file  <2 bytes>", "     -  typing  1"]
    assert tail.complaints == []


async def test_tail_prints_objects(redis: RedisServer, node: Node) -> None:
    epoch = (await node.put("load/1", "cpu", b"0.5", LOAD)).epoch
    async with tailing(redis.url, "load/1", "--json") as tail:
        await eventually(lambda: tail.lines, 20.0)
        await node.put("load/1", "cpu", None, LOAD)
        await node.broker.publish("load/1", Draft("put", b"\xff", binary=True, key="k", source="s1"), LOAD)
        await eventually(lambda: len(tail.lines) == 3)
    assert tail.objects == [
        {"position": [epoch, 1], "event": "put", "data": 0.5, "key": "cpu"},
        {"position": [epoch, 2], "event": "put", "data": None, "key": "cpu", "deleted": True},
        {"position": [epoch, 3], "event": "put", "data": "/w==", "key": "k", "from": "s1", "b64": True},
    ]


@pytest.mark.faults
async def test_tail_goes_on_after_redis_was_away_and_says_what_is_missing(node: Node, redis: RedisServer) -> None:
    await node.say("chat/a", b"1", CHAT)
    async with tailing(redis.url, "chat/a") as tail:
        await eventually(lambda: tail.lines, 20.0)
        await redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        await redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await node.say("chat/a", b"2", CHAT)
        await eventually(lambda: tail.lines[1:] == ["     2  said  2"], 10.0)
        assert "Redis is back" in tail.complaints
        await redis.call("FLUSHALL")
        await node.say("chat/a", b"3", CHAT)
        await eventually(lambda: tail.lines[2:] == ["     1  said  3"], 20.0)
        assert "-- the room began anew; nobody can know how much is missing --" in tail.complaints


async def test_tail_of_a_room_nobody_declared_is_refused(redis: RedisServer) -> None:
    done = await invoke(redis.url, "tail", "nowhere")
    assert (done.exit_code, done.stderr) == (1, "Error: no room is declared that 'nowhere' fits (unknown_room)\n")


# members


async def _enter(node: Node, session: str, user: str | None, transport: str | None, meta: Any = None) -> None:
    said = msgspec.json.encode({"user": user, "transport": transport, "meta": meta})
    await node.broker.publish("@presence/hall", Draft("member", said, key=session), PRESENCE)


async def test_members_are_users_with_their_sessions_and_sessions_of_nobody(redis: RedisServer, node: Node) -> None:
    await _enter(node, "s1", "ann", "websocket", {"typing": True})
    await _enter(node, "s2", None, "sse")
    await _enter(node, "s3", "ann", None)
    await _enter(node, "s4", "bob", "poll")
    await node.broker.publish("@presence/hall", Draft("member", b"null", key="s4", deleted=True), PRESENCE)
    done = await invoke(redis.url, "members", "hall")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "hall: 2 members, 3 sessions",
        "ann",
        '  s1  websocket  {"typing":true}',
        "  s3  -",
        "(anonymous)",
        "  s2  sse",
    ]
    found = msgspec.json.decode((await invoke(redis.url, "members", "hall", "--json")).stdout)
    assert [(each["user"], [one["session"] for one in each["metas"]]) for each in found] == [
        ("ann", ["s1", "s3"]),
        (None, ["s2"]),
    ]


async def test_a_member_that_cannot_be_read_is_told_apart(redis: RedisServer, node: Node) -> None:
    await _enter(node, "s1", "ann\x1b[2J", "sse")
    await node.broker.publish("@presence/hall", Draft("member", b"[1]", key="s\x1b2"), PRESENCE)
    done = await invoke(redis.url, "members", "hall")
    assert done.stdout.splitlines() == ["hall: 1 member, 1 session", "ann\\u001b[2J", "  s1  sse"]
    assert done.stderr == "what is said of the session s\\u001b2 is not to be read\n"


async def test_a_room_without_presence_has_no_members(redis: RedisServer) -> None:
    done = await invoke(redis.url, "members", "chat/a")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has no presence" in done.stderr
