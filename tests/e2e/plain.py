"""A page without anything but the browser client, for tests of the client itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import Page

TRANSPORTS = ("websocket", "sse", "poll")

PAGE = """<!doctype html><link rel="icon" href="data:,"><script type="module">
  import { connect, RequestError } from "/realtime/client.js";
  Object.assign(globalThis, { connect, RequestError });
  globalThis.unhandled = [];
  addEventListener("unhandledrejection", ({ reason }) => unhandled.push(String(reason)));
  /** How a promise came out. */
  globalThis.outcome = (promise) => promise.then(
    (value) => ({ value: value ?? null }),
    (error) => ({ code: error instanceof RequestError ? error.code : String(error), message: error.message }),
  );
  globalThis.start = (transport, auth) => {
    globalThis.rt = connect({ ...(transport && { transports: [transport] }), auth });
    globalThis.told = [];
  };
  globalThis.ready = true;
</script>"""

Visit = Callable[..., Awaitable[Page]]
"""Open the page and start a client on it: ``await visit(transport, auth)``."""
