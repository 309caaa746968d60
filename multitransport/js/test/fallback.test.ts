import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportName } from "../src/api";
import { choose, hedge, strikes, upgrade, type Facts, type Outcome, type Trial } from "../src/fallback";

const ALL: TransportName[] = ["websocket", "sse", "poll"];
const LETTERS: Record<string, TransportName> = { w: "websocket", s: "sse", p: "poll" };
const OUTCOMES: Record<string, Outcome> = { "+": "good", "-": "failed", x: "died", b: "buffered", r: "refused" };

/** `"w- s+"`: WebSocket failed, then SSE was good; `w-!`: it failed while another worked. One trial a second. */
function trials(script: string): Trial[] {
  return script.split(" ").filter(Boolean).map(([letter = "", outcome = "", mark], i) => {
    const [transport, result] = [LETTERS[letter], OUTCOMES[outcome]];
    assert.ok(transport && result, script);
    return { transport, outcome: result, atMs: i * 1_000, beside: mark === "!" };
  });
}

const facts = (script: string, more: Partial<Facts> = {}): Facts => ({
  allowed: ALL,
  trials: trials(script),
  remembered: null,
  ...more,
});

const NEXT: [history: string, next: TransportName | null, atOnce: boolean, why: string][] = [
  ["", "websocket", false, "the best first"],
  ["w-", "sse", true, "it may be blocked: see whether HTTP works"],
  ["w- s-", "poll", true, "the next one without waiting"],
  ["w- s- p-", "websocket", false, "nothing works: nobody is to blame, begin again and wait"],
  ["w- s- p- w-", "sse", false, "and so on"],
  ["w- s- p- w- s- p-", "websocket", false, "for hours"],
  ["w+", "websocket", false, "it was lost, not bad"],
  ["w+ w-", "websocket", false, "a server that restarts: it gets a second chance"],
  ["w+ w- w-", "sse", true, "and then the others"],
  ["w+ w- w- s- p-", "websocket", false, "down altogether"],
  ["wx", "websocket", false, "opened and died: once is nothing"],
  ["wx wx", "websocket", false, "nor twice"],
  ["wx wx wx", "sse", true, "three times is a pattern"],
  ["wx wx w+ wx wx", "websocket", false, "one that lasted forgives"],
  ["w- s+", "sse", false, "what worked last"],
  ["w- w-! s+", "sse", false, "blocked while HTTP works"],
  ["w- w-! s+ s-", "sse", false, "its second chance"],
  ["w- w-! s+ s- s-", "poll", true, "WebSocket is known to be blocked"],
  ["w- w-! s+ s- s- p-", "sse", false, "round and round among those that may work"],
  ["w- sb", "poll", true, "a stream that is held back"],
  ["w- sb p+", "poll", false, "polls work"],
  ["w- sb p+ p- p-", "websocket", true, "it failed when nothing was known to work: it may do now"],
  ["wr", "sse", true, "not allowed: at once another"],
  ["wr s+", "sse", false, "and never that one"],
  ["wr s- p-", "sse", false, "not even when all fail"],
  ["wr sr pr", null, false, "none is allowed"],
  ["w-! sb pr", "websocket", false, "all speak against: one that the server allows"],
];

for (const [history, next, atOnce, why] of NEXT) {
  test(`after "${history}" comes ${next}: ${why}`, () => {
    const choice = choose(facts(history));
    assert.deepEqual(choice, next === null ? null : { transport: next, atOnce });
  });
}

test("only allowed transports are chosen", () => {
  assert.equal(choose(facts("", { allowed: ["poll"] }))?.transport, "poll");
  assert.equal(choose(facts("p-", { allowed: ["poll"] }))?.transport, "poll");
  assert.equal(choose(facts("s-", { allowed: ["sse", "poll"] }))?.transport, "poll");
  assert.equal(choose(facts("", { allowed: [] })), null);
});

test("what worked on an earlier page comes first, until this page knows better", () => {
  assert.equal(choose(facts("", { remembered: "sse" }))?.transport, "sse");
  assert.equal(choose(facts("s-", { remembered: "sse" }))?.transport, "poll");
  assert.equal(choose(facts("s- p-", { remembered: "sse" }))?.transport, "websocket");
  assert.equal(choose(facts("w+", { remembered: "sse" }))?.transport, "websocket");
  assert.equal(choose(facts("", { remembered: "sse", allowed: ["websocket"] }))?.transport, "websocket");
});

test("a slow transport gets the next one beside it", () => {
  assert.equal(hedge(facts(""), "websocket"), "sse");
  assert.equal(hedge(facts("sb"), "websocket"), "poll");
  assert.equal(hedge(facts("sr pr"), "websocket"), null);
  assert.equal(hedge(facts(""), "poll"), null);
});

test("nothing is better than the best", () => assert.equal(upgrade(facts("w+"), "websocket", 0), null));

test("one that failed when nothing worked is looked at again a second after something does", () => {
  assert.deepEqual(upgrade(facts("w-"), "sse", 5_000), { transport: "websocket", atMs: 6_000 });
});

test("one that fails while another works is tried ever more rarely", () => {
  const due = (script: string) => upgrade(facts(script), "sse", 0)?.atMs;
  assert.equal(due("w-!"), 60_000);
  assert.equal(due("w-! w-!"), 1_000 + 120_000);
  assert.equal(due("w-! w-! w-!"), 2_000 + 240_000);
  assert.equal(due("w-!".concat(" w-!".repeat(20))), 20_000 + 1_800_000);
});

test("one that was left out because of what is remembered is tried after a minute", () => {
  assert.deepEqual(upgrade(facts(""), "poll", 3_000), { transport: "websocket", atMs: 63_000 });
});

test("one that keeps dying is not tried every second", () => {
  assert.equal(strikes(trials("wx wx wx"), "websocket"), 1);
  assert.equal(upgrade(facts("wx wx wx"), "sse", 3_000)?.atMs, 63_000);
});

test("the first that is due is tried, and none that is not allowed", () => {
  assert.deepEqual(upgrade(facts("w-! w-! sb"), "poll", 0), { transport: "sse", atMs: 62_000 });
  assert.deepEqual(upgrade(facts("w-! sr"), "poll", 0), { transport: "websocket", atMs: 60_000 });
  assert.equal(upgrade(facts("wr sr"), "poll", 0), null);
});
