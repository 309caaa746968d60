"""The Bus between nodes that share a Redis: signed messages on the nodes' own channels."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from multitransport.brokers.base import NodeUnreachable
from multitransport.brokers.redis.connections.connection import ConnectionLost, Refusal, is_passing
from multitransport.brokers.redis.envelopes import Answer, Ask, Foreign, Heard, Said, Seal, Tell
from multitransport.brokers.redis.rooms.broker import RedisBroker

__all__ = ["MAX_ASKED", "MAX_HANDLED", "MAX_MESSAGE_BYTES", "RedisBus"]

logger = logging.getLogger("multitransport")

MAX_MESSAGE_BYTES = 8 << 20
"""One message, encoded. Beyond: ``ask`` and ``tell`` raise ValueError, an answer is a failure."""

MAX_ASKED = 10_000
"""Asks of this node that wait for an answer. Beyond: NodeUnreachable at once."""

MAX_HANDLED = 10_000
"""Messages of others that are handled at the same time. Beyond: the next is dropped, and who asked waits in vain."""

_TELL_REFUSED_EVERY = 1000

_ATTEMPTS = 2
_ATTEMPTS_IN_A_CLUSTER = 10
"""So often a message is said that nobody hears, before who should is taken for gone: who lost its connection just now,
or whose channel is moved in a cluster, is back in no time."""


class _Unheard(NodeUnreachable):
    """Redis says that nobody listens."""


class RedisBus:
    """A Bus over the channels of a RedisBroker, whose connection and subscription it shares.

    A message is handled at most once. It is sent until Redis has taken it; one whose answer is lost with a connection
    ends with its time. Where a handler fails, ``ask`` raises NodeUnreachable too; the log of its node says why.
    ``refused`` counts what came and was not signed by this deployment, or not of this version.
    """

    def __init__(self, broker: RedisBroker, secret_keys: Sequence[str], max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """``secret_keys`` are the application's, oldest first: the last one signs, all verify."""
        self._broker = broker
        self._seal = Seal(secret_keys)
        self._max_bytes = max_bytes
        self._handle: Callable[[Any], Awaitable[Any]] | None = None
        self._ids = itertools.count(1)
        self._already = Heard()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sending = 0
        self.refused = 0

    async def start(self, handle: Callable[[Any], Awaitable[Any]], missed: Callable[[], None] = lambda: None) -> None:
        """See Bus."""
        self._handle = handle
        self._broker.told = self._heard
        self._broker.heard_anew = missed

    async def stop(self) -> None:
        """See Bus."""
        self._handle = None
        for answer in self._asked.values():
            _fail(answer, "the bus was stopped")
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def tell(self, node: str, message: Any) -> bool:
        """See Bus. Raises ValueError for a message that is too large."""
        if self._is_own(node):
            self._own(self._handled(message))
            return True
        try:
            async with asyncio.timeout(self._broker.timing.publish_seconds):
                await self._send(node, Tell(next(self._ids), self._broker.node, message))
        except (NodeUnreachable, TimeoutError) as error:
            logger.info("node %s was not told: %s", node, str(error) or self._broker.fault)
            return not isinstance(error, _Unheard)
        return True

    async def ask(self, node: str, message: Any, seconds: float) -> Any:
        """See Bus. Raises ValueError for a message that is too large."""
        if len(self._asked) >= MAX_ASKED:
            raise NodeUnreachable(f"{len(self._asked)} asks wait for an answer already")
        ask_id = next(self._ids)
        self._asked[ask_id] = answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                if self._is_own(node):
                    self._own(self._answer_own(ask_id, message))
                else:
                    await self._broker.hears()  # else the answer might be lost
                    await self._send(node, Ask(ask_id, self._broker.node, message))
                return await answer
        except TimeoutError:
            why = self._broker.fault or "it is gone, frozen or cut off"
            raise NodeUnreachable(f"node {node} did not answer within {seconds:g} s: {why}") from None
        finally:
            del self._asked[ask_id]

    async def _send(self, node: str, said: Said) -> None:
        """Publish it. Raises NodeUnreachable where it is known not to have been heard, ValueError."""
        channel = self._broker.keys.node_channel(_channel_name(node))
        sealed = self._seal.close(channel, said)
        if len(sealed) > self._max_bytes:
            raise ValueError(f"a message to another node has {self._max_bytes} bytes at most, not {len(sealed)}")
        if self._sending + len(sealed) > self._broker.timing.max_waiting_bytes:
            raise NodeUnreachable(f"{self._sending} bytes of messages between nodes wait for Redis already")
        self._sending += len(sealed)
        pause = self._broker.timing.retry_seconds / 10
        try:
            for attempt in range(_ATTEMPTS_IN_A_CLUSTER if self._broker.clustered else _ATTEMPTS):
                if attempt:
                    await asyncio.sleep(pause)
                if await self._publish(channel, sealed, pause):
                    return
        finally:
            self._sending -= len(sealed)
        raise _Unheard(f"node {node} does not listen")

    async def _publish(self, channel: bytes, sealed: bytes, pause: float) -> bool:
        """Publish it until that is answered, and tell whether somebody listens."""
        while True:
            try:
                return await self._broker.say(channel, sealed) > 0
            except ConnectionLost:
                pass  # it may have been said; who heard it will not hear it again
            except Refusal as refusal:
                if not is_passing(refusal):
                    raise NodeUnreachable(f"Redis refused a message to another node: {refusal}") from None
            await asyncio.sleep(pause)

    def _heard(self, sealed: bytes) -> None:
        """Take what came on this node's own channel."""
        if self._handle is None:
            return
        try:
            if len(sealed) > self._max_bytes:
                raise Foreign(f"it has {len(sealed)} bytes")
            said = self._seal.open(self._broker.own_channel, sealed)
        except Foreign as error:
            if self.refused % _TELL_REFUSED_EVERY == 0:
                logger.warning("refused a message to this node: %s", error)
            self.refused += 1
            return
        if isinstance(said, Answer):
            self._answered(said)
        elif not self._already.is_new(said.node, said.id):
            logger.debug("node %s repeated a message to this node", said.node)
        elif len(self._tasks) >= MAX_HANDLED:
            logger.error("a message of another node is dropped: %d are being handled", len(self._tasks))
        elif isinstance(said, Ask):
            self._own(self._answer(said))
        else:
            self._own(self._handled(said.body))

    async def _answer(self, said: Ask) -> None:
        ok, body = await self._handled(said.body)
        try:
            await self._reply(said, Answer(said.id, ok, body))
        except (ValueError, TypeError):
            logger.exception("what another node asked for cannot be told")
            await self._reply(said, Answer(said.id, ok=False, body=None))

    async def _reply(self, said: Ask, answer: Answer) -> None:
        try:
            async with asyncio.timeout(self._broker.timing.publish_seconds):
                await self._send(said.node, answer)
        except (NodeUnreachable, TimeoutError) as error:
            logger.info("node %s has no answer: %s", said.node, str(error) or self._broker.fault)

    async def _answer_own(self, ask_id: int, message: Any) -> None:
        self._answered(Answer(ask_id, *await self._handled(message)))

    async def _handled(self, message: Any) -> tuple[bool, Any]:
        if self._handle is None:  # it was stopped since
            return False, None
        try:
            return True, await self._handle(message)
        except Exception:
            logger.exception("what another node said could not be handled")
            return False, None

    def _answered(self, answer: Answer) -> None:
        future = self._asked.get(answer.id)
        if future is None or future.done():
            return  # nobody waits for it any more
        if answer.ok:
            future.set_result(answer.body)
        else:
            _fail(future, "the node failed at it; its log says why")

    def _is_own(self, node: str) -> bool:
        return _channel_name(node) == self._broker.node

    def _own(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _channel_name(node: str) -> str:
    """Return what names a node's channel: its id without the number that it got with its present lease."""
    return node.partition(".")[0]


def _fail(answer: asyncio.Future[Any], reason: str) -> None:
    if not answer.done():
        answer.set_exception(NodeUnreachable(reason))
        answer.exception()  # whoever asked may have gone
