"""Where Redis is, from its URL, and how a connection to it is made ready."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from multitransport.brokers.redis.connection import Connection, ConnectionLost, Refusal
from multitransport.errors import ConfigurationError

__all__ = ["Server", "Unreachable"]

_PORT = 6379


class Unreachable(Exception):
    """No connection could be made; the message says why."""


class Server:
    """A Redis at ``redis://``, ``rediss://`` (TLS) or ``unix://``: ``scheme://[user[:password]@]host[:port][/db]``.

    ``rediss://…?ca_certs=FILE`` trusts that authority; ``unix:///path/to/socket?db=0`` names a socket.
    """

    def __init__(self, url: str, connect_seconds: float) -> None:
        """Raises ConfigurationError where the URL is none of these."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ConfigurationError(
                f"a broker is memory or the URL of a Redis (redis://host:6379/0), not {_named(parts)}"
            )
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if unknown := set(options) - {"db", "ca_certs"}:
            raise ConfigurationError(f"{_named(parts)}: unknown options {', '.join(sorted(unknown))}")
        self.name = _named(parts)
        self.database = _database(parts, options.get("db"))
        self._connect_seconds = connect_seconds
        self._parts = parts
        self._tls = ssl.create_default_context(cafile=options.get("ca_certs")) if parts.scheme == "rediss" else None

    async def connect(self) -> Connection:
        """Return a connection that is authenticated and uses its database. Raises Unreachable."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await self._handshake(await self._open())
        except TimeoutError:
            raise Unreachable(f"{self.name} did not answer within {self._connect_seconds:g} s") from None
        except (OSError, Refusal, ConnectionLost) as error:
            raise Unreachable(f"{self.name}: {error}") from None

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        parts = self._parts
        if parts.scheme == "unix":
            _, connection = await loop.create_unix_connection(Connection, unquote(parts.path))
        else:
            host, port = parts.hostname or "127.0.0.1", parts.port or _PORT
            _, connection = await loop.create_connection(Connection, host, port, ssl=self._tls)
        return connection

    async def _handshake(self, connection: Connection) -> Connection:
        """An accepted connection proves nothing yet: Redis may be frozen, or be loading its log."""
        asked = []
        if self._parts.password is not None:
            user = [unquote(self._parts.username)] if self._parts.username else []
            asked.append(connection.request("AUTH", *user, unquote(self._parts.password)))
        if self.database:
            asked.append(connection.request("SELECT", self.database))
        asked.append(connection.request("PING"))
        try:
            await asyncio.gather(*asked)
            connection.replication = await _replication(connection)
        except BaseException as error:
            connection.end(f"the handshake failed: {error}")
            raise
        return connection


def _named(parts: SplitResult) -> str:
    """Return the URL without its secrets."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _database(parts: SplitResult, option: str | None) -> int:
    text = option or ("0" if parts.scheme == "unix" else parts.path.strip("/") or "0")
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(f"{_named(parts)}: a database of Redis is a number, not {text!r}")
    return int(text)


async def _replication(connection: Connection) -> str:
    """Return what changes when this Redis is another, or began anew; always the same where that is secret."""
    try:
        found = await connection.request("INFO", "replication")
    except Refusal:
        return "unknown"
    for line in found.decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "master_replid":
            return str(value)
    return "unknown"
