"""Publishing from plain code: threads, forked processes, the end of a process."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio

from multitransport import BrokerUnavailable, ConfigurationError, Position, Refuse, SyncPublisher
from multitransport.testing.proxy import FaultProxy
from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually
from tests.outside import ROOMS, ROOT, declare_rooms
from tests.redis_nodes import nodes
from tests.redis_server import RedisServer

CHAT = ROOMS[0].retention


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        await declare_rooms(server.url)
        yield server


async def _log(redis: RedisServer, room: str = "chat/a") -> list[bytes]:
    """Return what is in a room."""
    async with nodes(redis.url) as [node]:
        return (await node.watch(room, CHAT, history=1000)).data


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "multitransport-publisher"]


async def test_plain_code_publishes_and_waits(redis: RedisServer) -> None:
    def work() -> list[object]:
        with SyncPublisher(redis.url) as publisher:
            kept: Position = publisher.publish("chat/a", "said", 1)
            several = publisher.publish(["chat/a", "chat/b"], "said", 2, exclude="s1")
            return [kept.offset, [each and each.offset for each in several], publisher.publish("load/1", "e", key="k")]

    kept, several, state = await asyncio.to_thread(work)
    assert (kept, several) == (1, [2, 1])
    assert isinstance(state, Position)
    assert await _log(redis) == [b"1", b"2"]


async def test_what_is_refused_is_raised_where_it_was_published(redis: RedisServer) -> None:
    def work() -> None:
        with SyncPublisher(redis.url) as publisher:
            with pytest.raises(Refuse, match="'nowhere' fits"):
                publisher.publish("nowhere", "said", 1)
            with pytest.raises(TypeError, match="unsupported"):
                publisher.publish("chat/a", "said", object())

    await asyncio.to_thread(work)


def test_what_cannot_be_meant_is_said_when_it_is_made() -> None:
    with pytest.raises(ConfigurationError):
        SyncPublisher("http://localhost")


def test_redis_away_is_said_in_time() -> None:
    with (
        SyncPublisher(f"redis://127.0.0.1:{free_port()}", timeout_seconds=0.2) as publisher,
        pytest.raises(BrokerUnavailable, match=r"within 0\.2 s"),
    ):
        publisher.publish("chat/a", "said", 1)


async def test_many_threads_share_one_connection(redis: RedisServer) -> None:
    def work() -> list[Position]:
        with SyncPublisher(redis.url) as publisher, ThreadPoolExecutor(16) as pool:
            begun = threading.Barrier(16)

            def publish(n: int) -> Position:
                if n < 16:
                    begun.wait()
                return publisher.publish("chat/a", "said", n)

            found = list(pool.map(publish, range(100)))
            assert len(_threads()) == 1
            return found

    positions = await asyncio.to_thread(work)
    assert {position.offset for position in positions} == set(range(1, 101))
    assert sorted(await _log(redis), key=int) == [b"%d" % n for n in range(100)]


async def test_a_publication_whose_answer_was_lost_appears_once(redis: RedisServer) -> None:
    async with FaultProxy(redis.url) as proxy:
        with SyncPublisher(f"redis://127.0.0.1:{proxy.port}") as publisher:
            for n in range(5):
                await asyncio.to_thread(publisher.publish, "chat/a", "said", n)
                proxy.cut_after(1, "down")
    assert await _log(redis) == [b"%d" % n for n in range(5)]


async def test_one_that_was_closed_begins_anew(redis: RedisServer) -> None:
    def work() -> None:
        publisher = SyncPublisher(redis.url)
        for n in range(2):
            publisher.publish("chat/a", "said", n)
            assert len(_threads()) == 1
            publisher.close()
            publisher.close()
            assert not _threads()

    await asyncio.to_thread(work)
    assert await _log(redis) == [b"0", b"1"]


async def test_who_waits_is_told_that_it_was_closed(redis: RedisServer) -> None:
    publisher = SyncPublisher(redis.url, timeout_seconds=30.0)
    await asyncio.to_thread(publisher.publish, "chat/a", "said", 1)
    redis.suspend()
    waiting = asyncio.create_task(asyncio.to_thread(publisher.publish, "chat/a", "said", 2))
    await eventually(lambda: publisher._thread is not None and publisher._thread.publisher._sender._publishing._bytes)
    await asyncio.to_thread(publisher.close)
    with pytest.raises(BrokerUnavailable, match="closed"):
        await waiting
    redis.resume()


async def test_one_that_is_let_go_of_ends_its_thread(redis: RedisServer) -> None:
    def work() -> None:
        publisher = SyncPublisher(redis.url)
        publisher.publish("chat/a", "said", 1)
        assert _threads()
        del publisher
        gc.collect()

    await asyncio.to_thread(work)
    await eventually(lambda: not _threads())


_FORKING = """
import os, sys, threading
from multitransport import SyncPublisher

publisher = SyncPublisher(sys.argv[1])
publisher.publish("chat/a", "said", "parent")
busy = threading.Event()
quiet = threading.Event()

def hold():  # as a thread does that publishes at the very moment of the fork
    with publisher._lock:
        busy.set()
        quiet.wait()

threading.Thread(target=hold).start()
busy.wait()
children = []
for n in range(4):
    child = os.fork()
    if child == 0:
        threads = [threading.Thread(target=publisher.publish, args=("chat/a", "said", [n, m])) for m in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    children.append(child)
quiet.set()
for child in children:
    assert os.waitpid(child, 0)[1] == 0
publisher.publish("chat/a", "said", "parent again")
"""


async def _run(source: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "default", "-W", "ignore:This process:DeprecationWarning", "-c", source, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_forked_processes_publish_each_over_a_connection_of_its_own(redis: RedisServer) -> None:
    code, _, err = await _run(_FORKING, redis.url)
    assert code == 0, err
    said = await _log(redis)
    assert (said[0], said[-1]) == (b'"parent"', b'"parent again"')
    assert sorted(said[1:-1]) == sorted(b"[%d,%d]" % (n, m) for n in range(4) for m in range(4))


@pytest.mark.faults
async def test_a_forked_process_that_publishes_nothing_disturbs_nobody(redis: RedisServer) -> None:
    code, out, err = await _run(
        "import gc, os, sys\n"
        "from multitransport import SyncPublisher\n"
        "publisher = SyncPublisher(sys.argv[1])\n"
        "publisher.publish('chat/a', 'said', 1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    del publisher\n"
        "    gc.collect()\n"
        "    sys.exit()\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(publisher.publish('chat/a', 'said', 2).offset)\n",
        redis.url,
    )
    assert (code, out, err) == (0, "2\n", "")


@pytest.mark.faults
async def test_a_script_that_ends_without_closing_ends_in_silence(redis: RedisServer) -> None:
    source = (
        "import sys\n"
        "from multitransport import SyncPublisher\n"
        "print(SyncPublisher(sys.argv[1]).publish('chat/a', 'said', 1).offset)\n"
    )
    url = redis.url.replace("127.0.0.1", "localhost")  # a name, which asyncio looks up in a thread
    assert await _run(source, url) == (0, "1\n", "")
    kept = source.replace("print(SyncPublisher", "p = SyncPublisher").replace(".publish", "; print(p.publish", 1)
    assert await _run(kept, url) == (0, "2\n", "")


@pytest.mark.faults
async def test_ctrl_c_ends_the_waiting(redis: RedisServer) -> None:
    source = (
        "import sys\n"
        "from multitransport import SyncPublisher\n"
        "publisher = SyncPublisher(sys.argv[1], timeout_seconds=60)\n"
        "print('waiting', flush=True)\n"
        "publisher.publish('chat/a', 'said', 1)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", source, f"redis://127.0.0.1:{free_port()}"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"waiting\n"
        assert b"Redis is away" in await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert err.splitlines()[-1] == b"KeyboardInterrupt"


def test_without_hiredis_it_is_said_what_to_install() -> None:
    source = (
        "import sys\n"
        "sys.modules['hiredis'] = None\n"
        "import multitransport\n"
        "multitransport.SyncPublisher('redis://127.0.0.1')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.splitlines()[-1].endswith("needs an extra: pip install 'multitransport[redis]'")
