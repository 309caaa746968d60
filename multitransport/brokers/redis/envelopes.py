"""Messages between nodes as they are in Redis: of one version, signed, for one node. Until then, data from outside."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any

import msgspec

__all__ = ["MAGIC", "Answer", "Ask", "Foreign", "Heard", "Said", "Seal", "Tell"]

MAGIC = b"bus1"
"""What every message of this version begins with; then come the signature and MessagePack."""

_WINDOW = 1 << 14
_MAX_NODES = 1000

_SIGNATURE_BYTES = 16
_PURPOSE = b"multitransport bus 1"

Node = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
Id = Annotated[int, msgspec.Meta(ge=0)]


class Foreign(Exception):
    """It is not a message of this deployment and version to this node; the message says how."""


class Tell(msgspec.Struct, frozen=True, array_like=True, tag="tell"):
    """What ``node`` said and needs no answer to. The ids of what a node tells and asks grow."""

    id: Id
    node: Node
    body: Any


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """What is to be answered to ``node``, under this id."""

    id: Id
    node: Node
    body: Any


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """What became of an ask; where it is not ``ok``, its handler failed."""

    id: Id
    ok: bool
    body: Any


Said = Tell | Ask | Answer

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Said).decode


class Seal:
    """Signs messages with the last of the application's secret keys, and knows those signed with any."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._keys = [hmac.digest(key.encode(), _PURPOSE, sha256) for key in reversed(secret_keys)]

    def close(self, channel: bytes, said: Said) -> bytes:
        """Return a message that counts on this channel only. Raises TypeError for data that cannot be sent."""
        body = _encode(said)
        return b"%b%b%b" % (MAGIC, _sign(self._keys[0], channel, body), body)

    def open(self, channel: bytes, sealed: bytes) -> Said:
        """Return what was said. Raises Foreign."""
        start = len(MAGIC) + _SIGNATURE_BYTES
        if not sealed.startswith(MAGIC):
            raise Foreign("it is of another version")
        signature, body = sealed[len(MAGIC) : start], sealed[start:]
        if not any(hmac.compare_digest(signature, _sign(key, channel, body)) for key in self._keys):
            raise Foreign("its signature is not of this deployment's secret keys")
        try:
            said: Said = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Foreign(str(error)) from None
        return said


class Heard:
    """What was heard already, by the ids of each node: whoever repeats a signed message is not heard again."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, int]] = {}
        """The newest id of each node, and those before it as bits, itself the lowest."""

    def is_new(self, node: str, message_id: int) -> bool:
        """Note a message and tell whether it is the first with its id. One that comes far too late is none."""
        newest, heard = self._of.pop(node, (0, 0))
        if (ahead := message_id - newest) > 0:
            newest, heard = message_id, heard << min(ahead, _WINDOW) & (1 << _WINDOW) - 1
        bit = 1 << newest - message_id if newest - message_id < _WINDOW else 0
        is_new = bit > 0 and not heard & bit
        self._of[node] = newest, heard | bit
        if len(self._of) > _MAX_NODES:
            del self._of[next(iter(self._of))]  # the one that was silent for the longest time
        return is_new


def _sign(key: bytes, channel: bytes, body: bytes) -> bytes:
    # The length keeps apart where the one ends and the other begins.
    message = b"%b%d:%b%b" % (MAGIC, len(channel), channel, body)
    return hmac.digest(key, message, sha256)[:_SIGNATURE_BYTES]
