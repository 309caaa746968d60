"""What the nodes of one deployment ask of each other."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from multitransport.brokers.base import Bus, NodeUnreachable

__all__ = ["Peers"]

logger = logging.getLogger("multitransport")


class Peers:
    """The other nodes. A message is its kind and its arguments, and each kind is served by one function. Without a bus
    there are no others.
    """

    def __init__(self, bus: Bus | None) -> None:
        self._bus = bus
        self._served: dict[str, Callable[..., Awaitable[Any]]] = {}

    def __bool__(self) -> bool:
        """Whether there may be other nodes."""
        return self._bus is not None

    def serve(self, **functions: Callable[..., Awaitable[Any]]) -> None:
        """Answer messages of these kinds with what the function of that name returns."""
        self._served.update(functions)

    async def start(self, missed: Callable[[], None]) -> None:
        """Begin to answer; ``missed`` is called where messages may have been lost on the way here."""
        if self._bus is not None:
            await self._bus.start(self._answer, missed)

    async def stop(self) -> None:
        """Answer no more."""
        if self._bus is not None:
            await self._bus.stop()

    async def tell(self, node: str, kind: str, *arguments: Any) -> bool:
        """Tell another node something; it is lost where that is away. False where nobody listened."""
        return self._bus is not None and await self._bus.tell(node, [kind, *arguments])

    async def ask(self, node: str, kind: str, *arguments: Any, seconds: float) -> Any:
        """Ask another node. Raises NodeUnreachable."""
        if self._bus is None:
            raise NodeUnreachable(f"there is no node {node!r}")
        return await self._bus.ask(node, [kind, *arguments], seconds)

    async def _answer(self, message: Any) -> Any:
        kind, *arguments = message
        function = self._served.get(kind)
        if function is None:
            raise LookupError(f"this version knows no message {kind!r}")
        return await function(*arguments)
