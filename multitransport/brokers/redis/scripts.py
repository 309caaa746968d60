"""The scripts that run in Redis: each is one step of a room, a session or a lease, done whole or not at all."""

from __future__ import annotations

from hashlib import sha1
from importlib import resources

__all__ = ["FLASH", "FORGET", "PUBLISH", "PUBLISH_STATE", "READ", "READ_STATE", "RENEW", "VOUCH", "Script"]


class Script:
    """A script's source, what all of its kind begin with included, and what Redis calls it by."""

    def __init__(self, name: str, prelude: str = "room.lua") -> None:
        folder = resources.files("multitransport.brokers.redis") / "lua"
        self.source = f"{(folder / prelude).read_text()}\n{(folder / name).read_text()}".encode()
        self.digest = sha1(self.source, usedforsecurity=False).hexdigest()


PUBLISH = Script("publish.lua")
PUBLISH_STATE = Script("publish_state.lua")
READ = Script("read.lua")
READ_STATE = Script("read_state.lua")
VOUCH = Script("vouch.lua")
RENEW = Script("renew.lua")
FORGET = Script("forget.lua")
FLASH = Script("flash.lua")
