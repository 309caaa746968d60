"""The test kit: what this library's own tests use, for those of your application and of other brokers.

``clock``    FakeClock: time that stands still
``waiting``  eventually: wait on a condition
``server``   serve and ServerProcess: a real Hypercorn (needs ``multitransport[hypercorn]``)
``proxy``    FaultProxy: a network that breaks
``asgi``     connect_asgi: the Python client against an app in this process, without sockets (needs
``multitransport[client]``)
``contracts``  BrokerContract, SessionStoreContract: what a broker has to pass (needs pytest and pytest-asyncio)

Import from the module meant, so that only what it needs has to be installed.
"""

from __future__ import annotations
