"""Sessions' records as they are in Redis: hashes of one version, whose identity is signed. What is read is data from
outside, until it was verified.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

import msgspec

from multitransport.brokers.base import LastWord
from multitransport.core.session import SessionRecord
from multitransport.protocol.binary import Blob, Frame
from multitransport.protocol.codes import is_final
from multitransport.protocol.position import MAX_COUNT, Position

__all__ = [
    "ForeignRecord",
    "Kept",
    "Records",
    "decode_word",
    "encode_outcome",
    "encode_room",
    "encode_value",
    "encode_word",
    "field",
]

_MAGIC = b"1"
"""The version of all that is in a record. The signature follows, and MessagePack."""

_SIGNATURE_BYTES = 16
_UNBEGUN = b"-"
"""In place of the node that holds a frame: it was given back."""

_PURPOSE = b"multitransport session 1"


class ForeignRecord(Exception):
    """It is not a record of this deployment and version; the message says how."""


class _Identity(msgspec.Struct, frozen=True, array_like=True):
    new: str
    user_id: str | None
    secret_hash: bytes


class _Word(msgspec.Struct, frozen=True, array_like=True):
    code: Annotated[int, msgspec.Meta(ge=1000, le=4999)]
    reason: str


class Kept(NamedTuple):
    """A record as Redis has it."""

    record: SessionRecord
    term: int
    """How often the node that speaks for it has changed."""
    expires: int | None
    """When its time is over, in milliseconds of Redis, where it is not attached."""
    values: dict[bytes, bytes]
    """The fields of data, metas and credential, encoded."""
    replication: str
    """The replication id under which it is known to be whole."""
    former: str
    """The node that spoke for it before its last attach; '' where that was the same one."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_decode_identity = msgspec.msgpack.Decoder(_Identity).decode
_decode_word = msgspec.msgpack.Decoder(_Word).decode
_decode_blob = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode


class Records:
    """Signs records with the last of the application's secret keys, and knows those signed with any."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._keys = [hmac.digest(key.encode(), _PURPOSE, sha256) for key in reversed(secret_keys)]

    def identity(self, key: bytes, new: str, user_id: str | None, secret_hash: bytes) -> bytes:
        """Return whose session it is, in a form that counts under this key of Redis only."""
        body = _encode(_Identity(new, user_id, secret_hash))
        return b"%b%b%b" % (_MAGIC, _sign(self._keys[0], key, body), body)

    def encode(self, key: bytes, record: SessionRecord) -> list[str | int | bytes]:
        """Return fields and values of all but what the application keeps, and who speaks for it."""
        inbox = record.inbox
        found: dict[str | bytes, str | int | bytes] = {
            "i": self.identity(key, record.new, record.user_id, record.secret_hash),
            "a": record.attach,
            "c": inbox.claimed,
            "p": inbox.processed,
            "k": inbox.acked,
        }
        if inbox.early:
            found["e"] = _join(inbox.early)
        if inbox.unkept:
            found["u"] = _join(inbox.unkept)
        for seq, outcome in inbox.outcomes.items():
            found[f"o:{seq}"] = encode_outcome(outcome)
        for room, position in record.rooms.items():
            found[field("r", room)] = encode_room(position, unasked=room in (record.unasked or ()))
        if record.beside:
            found["s"] = _join(record.beside)
        for seq in range(inbox.processed + 1, inbox.claimed + 1):
            if not inbox.is_done(seq):
                holder = (record.holders or {}).get(seq, record.node)
                found[f"f:{seq}"] = _UNBEGUN if holder is None else holder
        return [each for pair in found.items() for each in pair]

    def decode(self, key: bytes, session_id: str, fields: Sequence[bytes]) -> Kept:
        """Return a record from its fields and values. Raises ForeignRecord."""
        found = dict(zip(fields[::2], fields[1::2], strict=True))
        try:
            identity = self.verify(key, found.pop(b"i", b""))
            return _Reading(SessionRecord(session_id, *_split(identity), 0), found).kept()
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise ForeignRecord(str(error)) from None

    def verify(self, key: bytes, sealed: bytes) -> _Identity:
        """Return whose session it is. Raises ForeignRecord."""
        start = len(_MAGIC) + _SIGNATURE_BYTES
        signature, body = sealed[len(_MAGIC) : start], sealed[start:]
        if not sealed.startswith(_MAGIC):
            raise ForeignRecord("it is of another version")
        if not any(hmac.compare_digest(signature, _sign(each, key, body)) for each in self._keys):
            raise ForeignRecord("its signature is not of this deployment's secret keys")
        try:
            return _decode_identity(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ForeignRecord(str(error)) from None


class _Reading:
    """One record that is being decoded."""

    def __init__(self, record: SessionRecord, found: Mapping[bytes, bytes]) -> None:
        self._record = record
        self._found = found
        self._values: dict[bytes, bytes] = {}

    def kept(self) -> Kept:
        record, found = self._record, self._found
        inbox = record.inbox
        record.attach = _number(found.get(b"a", b""))
        record.node = found.get(b"n", b"").decode()
        inbox.claimed, inbox.processed, inbox.acked = (_number(found.get(name, b"")) for name in (b"c", b"p", b"k"))
        inbox.early = _numbers(found.get(b"e"))
        inbox.unkept = _numbers(found.get(b"u"))
        record.beside = _numbers(found.get(b"s"))
        for name, value in found.items():
            kind, colon, rest = name.partition(b":")
            if colon:
                self._take(kind, rest.decode("utf-8", "surrogatepass"), name, value)
        if (credential := found.get(b"h")) is not None:
            record.credential = credential
            self._values[b"h"] = credential
        inbox.kept_bytes = sum(map(len, inbox.outcomes.values()))
        expires = _number(found[b"x"]) if b"x" in found else None
        record.ending = b"z" in found
        replication = found.get(b"g", b"").decode()
        former = found.get(b"w", b"").decode().partition(" ")[2]
        return Kept(record, _number(found.get(b"t", b"")), expires, self._values, replication, former)

    def _take(self, kind: bytes, name: str, whole: bytes, value: bytes) -> None:
        record = self._record
        if kind == b"o":
            record.inbox.outcomes[_number(name.encode())] = _outcome(value)
        elif kind == b"r":
            position = Position.parse(value[1:].decode())
            if position is None:
                raise ForeignRecord(f"{value!r} is no position")
            record.rooms[name] = position
            if value.startswith(b"u"):
                record.unasked = {name, *(record.unasked or ())}
        elif kind == b"f":
            record.holders = record.holders or {}
            record.holders[_number(name.encode())] = None if value == _UNBEGUN else value.decode()
        elif kind == b"d":
            record.data = record.data or {}
            record.data[name] = _decode(value)
            self._values[whole] = value
        elif kind == b"m":
            record.metas = record.metas or {}
            record.metas[name] = _decode(value)
            self._values[whole] = value


def field(kind: str, name: str) -> bytes:
    """Return the name of a field that stands for something named by somebody else."""
    return b"%b:%b" % (kind.encode(), name.encode("utf-8", "surrogatepass"))


def encode_value(value: Any) -> bytes:
    """Encode what an application keeps. Raises TypeError for what cannot be."""
    try:
        return _encode(value)
    except (TypeError, msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(str(error)) from None


def encode_outcome(outcome: Frame) -> bytes:
    """Encode a frame: as it is, or one with bytes in both of its forms."""
    return b"b" + _encode((outcome.frame, outcome.message)) if isinstance(outcome, Blob) else b"t" + outcome


def encode_room(position: Position, *, unasked: bool) -> str:
    """Encode where a room was joined, and by whose will."""
    return f"{'u' if unasked else 'a'}{position}"


def encode_word(word: LastWord) -> bytes:
    """Encode a last word; its first letter says whether it is told each time."""
    return (b"f" if is_final(word.code) else b"o") + _encode(_Word(word.code, word.reason))


def decode_word(found: bytes) -> LastWord | None:
    """Return a last word; None where it is not one of this version."""
    try:
        word = _decode_word(found[1:])
    except (msgspec.MsgspecError, ValueError):
        return None
    return LastWord(word.code, word.reason)


def _split(identity: _Identity) -> tuple[str, bytes, str | None]:
    return identity.new, identity.secret_hash, identity.user_id


def _outcome(value: bytes) -> Frame:
    if value.startswith(b"t"):
        return value[1:]
    return Blob(*_decode_blob(value[1:]))


def _number(digits: bytes) -> int:
    if not (digits.isdigit() and len(digits) <= 16) or int(digits) > MAX_COUNT:
        raise ForeignRecord(f"{digits[:20]!r} is no number")
    return int(digits)


def _numbers(joined: bytes | None) -> set[int] | None:
    return {_number(each) for each in joined.split(b",")} if joined else None


def _join(seqs: set[int]) -> str:
    return ",".join(map(str, sorted(seqs)))


def _sign(key: bytes, name: bytes, body: bytes) -> bytes:
    # The length keeps apart where the one ends and the other begins.
    return hmac.digest(key, b"%b%d:%b%b" % (_MAGIC, len(name), name, body), sha256)[:_SIGNATURE_BYTES]
