import assert from "node:assert/strict";
import { test } from "node:test";
import { follow, INITIAL, type StatusChange } from "../src/status";

/** The words for each change, one a second. */
function words(...changes: StatusChange[]): string[] {
  let status = INITIAL;
  return changes.map((change, i) => {
    status = follow(status, change, i * 1_000);
    return status.text;
  });
}

const time = (ms: number) => new Date(ms).toLocaleTimeString([], { hourCycle: "h23" });

test("the clock has 24 hours", () => {
  const evening = new Date(2026, 10, 22, 22, 2, 10).getTime();
  assert.match(follow(INITIAL, { state: "offline" }, evening).text, /^offline since 22.02.10$/);
});

test("it can be shown as it is", () => {
  assert.deepEqual(
    words(
      { attempt: 0 },
      { state: "live", transport: "websocket" },
      { roundTripMs: 3 },
      { state: "offline", transport: null },
      { state: "connecting" },
      { state: "offline" },
      { state: "connecting" },
      { state: "live", catchingUp: true, transport: "sse" },
      { catchingUp: false },
      { transport: "poll" },
      { state: "closed", transport: null, reason: "no such user" },
    ),
    ["connecting", "live over WebSocket", "live over WebSocket", `offline since ${time(3_000)}`, `offline since ${time(3_000)}`, `offline since ${time(3_000)}`, `offline since ${time(3_000)}`, "catching up", "live over SSE", "live over long poll", "closed: no such user"],
  );
});

test("a page that never was live is offline since its first failure", () => {
  assert.deepEqual(words({ state: "connecting" }, { state: "offline" }, { state: "connecting" }, { state: "offline" }), [
    "connecting",
    `offline since ${time(1_000)}`,
    `offline since ${time(1_000)}`,
    `offline since ${time(1_000)}`,
  ]);
});

test("since when is told while it lasts, and what is not live catches up with nothing", () => {
  const live = follow(INITIAL, { state: "live", transport: "websocket", catchingUp: true }, 1);
  const cut = follow(live, { state: "connecting", transport: null }, 2);
  assert.deepEqual([live.offlineSinceMs, live.catchingUp], [null, true]);
  assert.deepEqual([cut.offlineSinceMs, cut.catchingUp], [2, false]);
  assert.equal(follow(cut, { state: "live", transport: "poll" }, 3).offlineSinceMs, null);
});

test("a line that is taken up again at once was not offline", () => {
  assert.deepEqual(words({ state: "live", transport: "sse" }, { state: "connecting", transport: null }, { state: "live", transport: "sse" }), [
    "live over SSE",
    "connecting",
    "live over SSE",
  ]);
});
