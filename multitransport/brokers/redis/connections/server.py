"""Where Redis is, from its URL, and how a connection to it is made ready."""

from __future__ import annotations

import asyncio
import ssl
from copy import copy
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from multitransport.brokers.redis.connections.connection import Connection, ConnectionLost, Refusal
from multitransport.brokers.url import check_broker, named
from multitransport.errors import ConfigurationError

__all__ = ["Server", "Unreachable"]

_PORT = 6379
_SENTINEL_PORT = 26379

_NO_CONNECTION = (OSError, UnicodeError)
"""A name of a host that no resolver takes, such as ``redis..internal``, is a UnicodeError."""


class Unreachable(Exception):
    """No connection could be made; the message says why."""


class Server:
    """A Redis, the present master of a group that Sentinels watch, or any node of a cluster.

    ``redis://[[user]:password@]host[:port][/db]``, ``rediss://…[?ca_certs=FILE]`` (TLS),
    ``unix://[[user]:password@]/path/of/socket[?db=n]``,
    ``redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/group[/db][?sentinel_password=…]``,
    ``redis+cluster://[[user]:password@]host[:port][,host[:port]…]``.
    """

    def __init__(self, url: str, connect_seconds: float) -> None:
        """Raises ConfigurationError where the URL is none of these."""
        check_broker(url)
        self.name = named(url)
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ConfigurationError(f"{self.name}: {error}") from None
        if parts.fragment or ("@" in parts.path + parts.query and parts.scheme != "unix"):
            raise ConfigurationError(
                f"{self.name}: what is special in a password is escaped: %40 @, %2F /, %3F ?, %23 #"
            )
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if unknown := set(options) - {"db", "ca_certs", "sentinel_password"}:
            raise ConfigurationError(f"{self.name}: unknown options {', '.join(sorted(unknown))}")
        self._connect_seconds = connect_seconds
        self._parts = parts
        self._sentinel_password = options.get("sentinel_password")
        secure = parts.scheme.startswith("rediss")
        self._tls = _trusting(self.name, options.get("ca_certs")) if secure else None
        path = [] if parts.scheme == "unix" else parts.path.strip("/").split("/")
        self._group = path.pop(0) if parts.scheme.endswith("+sentinel") else None
        self._hosts = _hosts(self.name, parts, _PORT if self._group is None else _SENTINEL_PORT)
        if self._group == "" or len(path) > 1:
            raise ConfigurationError(f"{self.name}: the path is {'/group/db' if self._group == '' else '/db'}")
        self.clustered = parts.scheme.endswith("+cluster")
        self.database = _database(self.name, options.get("db") or "".join(path) or "0")
        if self.clustered and self.database:
            raise ConfigurationError(f"{self.name}: a cluster has no databases")

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """The hosts and ports of the URL."""
        return list(self._hosts)

    def at(self, host: str, port: int) -> Server:
        """Return another Redis that is reached in the same way."""
        other = copy(self)
        other._hosts = [(host, port)]
        other.name = f"{self._parts.scheme}://{host}:{port}"
        return other

    async def connect(self) -> Connection:
        """Return a connection that is authenticated and uses its database. Raises Unreachable."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await self._handshake(await self._open())
        except TimeoutError:
            raise Unreachable(f"{self.name} did not answer within {self._connect_seconds:g} s") from None
        except (*_NO_CONNECTION, Refusal, ConnectionLost) as error:
            raise Unreachable(f"{self.name}: {error}") from None

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._parts.scheme == "unix":
            _, connection = await loop.create_unix_connection(Connection, unquote(self._parts.path))
            return connection
        host, port = self._hosts[0] if self._group is None else await self._master(self._group)
        _, connection = await loop.create_connection(Connection, host, port, ssl=self._tls)
        return connection

    async def _master(self, group: str) -> tuple[str, int]:
        """Ask the Sentinels, one after the other, where the group's master is."""
        loop = asyncio.get_running_loop()
        fault: Exception = ConnectionLost("no Sentinel is named")
        for n, (host, port) in enumerate(self._hosts):
            try:
                async with asyncio.timeout(self._connect_seconds / 2 / len(self._hosts)):
                    _, sentinel = await loop.create_connection(Connection, host, port, ssl=self._tls)
                    found = await self._ask(sentinel, group)
            except (TimeoutError, *_NO_CONNECTION, Refusal, ConnectionLost) as error:
                fault = error if str(error) else ConnectionLost(f"the Sentinel {host}:{port} does not answer")
                continue
            if found is not None:
                self._hosts.insert(0, self._hosts.pop(n))  # who answers is asked first the next time
                return found[0].decode(), int(found[1])
            fault = ConnectionLost(f"the Sentinel {host}:{port} knows no master of {group!r}")
        raise fault

    async def _ask(self, sentinel: Connection, group: str) -> list[bytes] | None:
        try:
            if self._sentinel_password is not None:
                await sentinel.request("AUTH", self._sentinel_password)
            found: list[bytes] | None = await sentinel.request("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)
            return found
        finally:
            sentinel.end("asked")

    async def _handshake(self, connection: Connection) -> Connection:
        """An accepted connection proves nothing yet: Redis may be frozen, be loading its log, or be master no more."""
        asked = []
        if self._parts.password is not None:
            user = [unquote(self._parts.username)] if self._parts.username else []
            asked.append(connection.request("AUTH", *user, unquote(self._parts.password)))
        if self.database:
            asked.append(connection.request("SELECT", self.database))
        asked.append(connection.request("PING"))
        try:
            await asyncio.gather(*asked)
            told = await _replication(connection)
            if told.get("role", "master") != "master" and not self.clustered:  # of a cluster any node tells its slots
                raise ConnectionLost("this Redis is a replica, which takes nothing")
        except BaseException as error:
            connection.end(f"the handshake failed: {error}")
            raise
        # Where it is secret, a failover is noticed only by what it lost.
        connection.replication = told.get("master_replid", "unknown")
        return connection


async def _replication(connection: Connection) -> dict[str, str]:
    """Return what Redis says of its part in a group; nothing where it may not be asked."""
    try:
        found: bytes = await connection.request("INFO", "replication")
    except Refusal:
        return {}
    lines = found.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _trusting(name: str, ca_certs: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_certs)
    except OSError as error:  # an SSLError is one
        raise ConfigurationError(f"{name}: ca_certs={ca_certs} cannot be used: {error}") from None


def _hosts(name: str, parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Return hosts and ports. Raises ConfigurationError."""
    hosts = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        try:
            one = urlsplit(f"//{text}")
            hosts.append((one.hostname or "127.0.0.1", one.port or port))
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from None
    return hosts


def _database(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(f"{name}: a database of Redis is a number, not {text!r}")
    return int(text)
