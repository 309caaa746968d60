"""What one transport may bring, frame by frame, whatever the client makes of it."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Frames"]


class Frames:
    """Follows how far each transport has read the rooms that are logs, and that gaps have the right count."""

    def __init__(self) -> None:
        self._attach = 0
        self._offsets: dict[str, int] = {}
        self._gap_last: set[str] = set()
        self._session = ""
        self._answered: set[int] = set()

    def see(self, line: bytes, attach: int) -> None:
        """Take a frame of the transport with this attach."""
        if attach != self._attach:
            self._attach, self._offsets, self._gap_last = attach, {}, set()
        kind, *rest = msgspec.json.decode(line)
        match kind, rest:
            case "welcome", [options]:
                if options["session"] != self._session:
                    self._session, self._answered = options["session"], set()
            case "joined", [seq, room, position, options]:
                if seq in self._answered:
                    return  # what is repeated was true once
                if seq is not None:
                    self._answered.add(seq)
                self._joined(room, position, options)
            case "left", [_, room, *_]:
                self._offsets.pop(room, None)
            case "pub", [room, int(offset), *_] if room in self._offsets:
                assert offset > self._offsets[room], f"{line!r} follows {self._offsets[room]}"
                self._move(room, offset)
            case "at", [room, [_, offset]] if room in self._offsets:
                assert offset >= self._offsets[room]
                self._move(room, offset)
            case "gap", [room, [_, offset], lost] if room in self._offsets:
                assert room not in self._gap_last, "a gap follows a gap"
                assert lost == offset - self._offsets[room] > 0
                self._move(room, offset)
                self._gap_last.add(room)

    def _joined(self, room: str, position: list[Any], options: dict[str, Any]) -> None:
        self._gap_last.discard(room)
        if options["mode"] == "log":
            self._offsets[room] = position[1]

    def _move(self, room: str, offset: int) -> None:
        self._offsets[room] = offset
        self._gap_last.discard(room)
