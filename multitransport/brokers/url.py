"""What a broker is called in a setting, told without what it takes to open one."""

from __future__ import annotations

import re

from multitransport.errors import ConfigurationError

__all__ = ["MEMORY", "check_broker", "named"]

MEMORY = "memory"

_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def check_broker(broker: str) -> None:
    """Raises ConfigurationError for what is neither ``memory`` nor the URL of a Redis."""
    scheme, separator, _ = broker.partition("://")
    if broker != MEMORY and not (separator and scheme in _SCHEMES):
        raise ConfigurationError(
            f"there is no broker {named(broker)!r}; it is 'memory' or a Redis: redis://host:6379/0, rediss:// (TLS), "
            "unix:///path/of/socket, redis+sentinel://host:26379/group, redis+cluster://host:6379"
        )


def named(broker: str) -> str:
    """Return it without its secrets, also where they are written as they must not be."""
    scheme = re.match(r"[a-z+]+://|", broker)
    assert scheme is not None
    secrets, _, place = broker[scheme.end() :].rpartition("@")
    if "?" in secrets or "#" in secrets:
        place = "…"  # nobody can tell a password from what follows it
    return scheme[0] + re.split(r"[?#]", place)[0]
