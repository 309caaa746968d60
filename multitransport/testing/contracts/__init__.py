"""What every broker and every store is tested for. Inherit a contract, give it the factory, and pytest does the rest:

    class TestMyBroker(BrokerContract):
        @asynccontextmanager
        async def open_broker(self) -> AsyncIterator[Broker]:
            yield MyBroker()

Needs pytest and pytest-asyncio. ``pytest.register_assert_rewrite("multitransport.testing.contracts")`` in a conftest
makes failures say more.
"""

from __future__ import annotations

from multitransport.testing.contracts.broker import LogContract
from multitransport.testing.contracts.sessions import SessionStoreContract
from multitransport.testing.contracts.state import StateContract

__all__ = ["BrokerContract", "SessionStoreContract"]


class BrokerContract(LogContract, StateContract):
    """The contract of a Broker."""
