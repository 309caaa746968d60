"""What users may import, so that none of it changes by accident."""

from __future__ import annotations

import importlib
import inspect

import pytest

PUBLIC = {
    "multitransport": [
        "Answers",
        "BrokerUnavailable",
        "Call",
        "ConfigurationError",
        "ConnectionClosed",
        "Failed",
        "Invalid",
        "Member",
        "Meta",
        "MultiTransport",
        "MultiTransportError",
        "Namespace",
        "OutcomeUnknown",
        "Position",
        "Published",
        "Publisher",
        "QueueFull",
        "Refuse",
        "Refused",
        "RequestError",
        "RoomFull",
        "RoomPage",
        "Session",
        "SyncPublisher",
        "TimedOut",
    ],
    "multitransport.client": ["Client", "Feed", "Gap", "MemberChange", "Publication", "Room", "Status", "connect"],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == PUBLIC[module]


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names])
def test_what_is_public_is_described(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return  # a type alias has no place for a docstring
    assert (value.__doc__ or "").strip()
    if inspect.isclass(value):
        methods = {
            key: each for key, each in vars(value).items() if not key.startswith("_") and inspect.isroutine(each)
        }
        assert not {key for key, each in methods.items() if not inspect.getdoc(each)}
