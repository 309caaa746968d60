// The client of a page over polls, against a server that says what a test has it say.
import assert from "node:assert/strict";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import type { Client, Publication, Room } from "../src/api";
import { PageClient } from "../src/client";
import { RequestError } from "../src/errors";

Object.assign(globalThis, { addEventListener() {}, navigator: { sendBeacon() {} }, reportError() {} });

const WELCOME = { session: "S", token: "T", resumed: false, seq: 0, window: 64, ping: 25, grace: 10, max_message: 1 << 20 };
const JOINED = { mode: "log", recovered: true };

let server: Server;
let client: Client;
/** What the client has said, hellos aside. */
let heard: unknown[][];
let hellos: Record<string, unknown>[];
let queue: unknown[][];
let held: ServerResponse | null;

const answer = (response: ServerResponse, frames: unknown[][]) => response.end(frames.map((frame) => JSON.stringify(frame)).join("\n"));

/** Have the client told. */
function tell(...frames: unknown[][]): void {
  queue.push(...frames);
  if (!held || !queue.length) return;
  answer(held, [["welcome", WELCOME], ...queue.splice(0)]);
  held = null;
}

/** Wait until it is so. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns += 1) {
    assert.ok(turns < 3_000, `still not: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

beforeEach(async () => {
  [heard, hellos, queue, held] = [[], [], [], null];
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      const [[, hello], ...frames] = body.split("\n").map((line) => JSON.parse(line)) as [[string, Record<string, unknown>], ...unknown[][]];
      heard.push(...frames);
      if (request.url === "/send") return void answer(response, [["ack", 0]]);
      hellos.push(hello);
      held = response;
      if (hello["wait"] === 0) tell(["ack", 0]);
      else tell();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  client = new PageClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { transports: ["poll"] });
  await until(() => client.status.state === "live" && held !== null);
});

afterEach(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Join a room that the server has. */
async function joined(name: string, options = {}): Promise<Room> {
  const room = client.join(name, options);
  await until(() => heard.some(([kind, , which]) => kind === "join" && which === name));
  const [, seq] = heard.findLast(([kind, , which]) => kind === "join" && which === name) ?? [];
  tell(["joined", seq, name, ["e", 0], JOINED]);
  await room.joined;
  return room;
}

const last = () => heard.at(-1) ?? [];

test("a room keeps the latest it was told, and what is volatile it does not", async () => {
  const room = await joined("a", { keep: 2 });
  tell(...[1, 2, 3].map((offset) => ["pub", "a", offset, "x", offset]), ["pub", "a", null, "typing", 9]);
  await until(() => client.stats.publications === 4);
  assert.deepEqual(room.history.map(({ data, offset }) => [data, offset]), [[2, 2], [3, 3]]);
  assert.deepEqual(room.position, ["e", 3]);
});

test("a loop over a room takes every publication and ends when the room is left", async () => {
  const room = await joined("a");
  const taken: unknown[] = [];
  const loop = (async () => {
    for await (const { data } of room) taken.push(data);
  })();
  tell(["pub", "a", 1, "x", "one"], ["pub", "a", null, "y", "two"]);
  await until(() => taken.length === 2);
  const left = room.leave();
  await loop;
  assert.deepEqual(taken, ["one", "two"]);
  await until(() => last()[0] === "leave");
  tell(["left", last()[1], "a"]);
  await left;
  for await (const publication of room) assert.fail(String(publication.data));
});

test("a loop over a room the server ends gets the reason", async () => {
  const room = await joined("a");
  const next = room[Symbol.asyncIterator]().next();
  tell(["left", null, "a", "removed", "no longer"]);
  await assert.rejects(next, { code: "removed" });
});

test("the inbox is told by event, and not what is no news for it", async () => {
  const told: unknown[] = [];
  client.on("note", (data: unknown) => told.push(["note", data]));
  client.on("*", (data: unknown, { event }: Publication) => told.push(["*", event, data]));
  client.on("status", () => told.push("status"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  told.length = 0;
  tell(["joined", null, "@session/S", ["i", 0], JOINED], ["pub", "@session/S", 1, "note", 1], ["pub", "@session/S", 2, "status", 2]);
  await until(() => told.length === 3);
  assert.deepEqual(told, [["note", 1], ["*", "note", 1], ["*", "status", 2]]);
  await until(() => held !== null);
  assert.deepEqual(hellos.at(-1)?.["rooms"], { "@session/S": { position: ["i", 2] } });
});

test("a loss in the inbox is told", async () => {
  const gaps: unknown[] = [];
  client.onGap((gap) => gaps.push(gap));
  tell(["joined", null, "@user/ann", ["i", 0], JOINED], ["gap", "@user/ann", ["i", 9], 9]);
  await until(() => gaps.length === 1);
  assert.deepEqual(gaps, [{ lost: 9, position: ["i", 9] }]);
});

test("the server's requests are answered, whatever becomes of them", async () => {
  client.handle("double", (number) => (number as number) * 2);
  client.handle("later", async (data) => Promise.resolve(data));
  client.handle("refuse", () => {
    throw new RequestError("busy", "not now");
  });
  client.handle("raise", () => {
    throw new TypeError("secret");
  });
  client.handle("wrong", () => {
    throw new RequestError("Not a code!", "secret");
  });
  client.handle("long", () => {
    throw new RequestError("busy", "x".repeat(2 << 20));
  });
  client.handle("bytes", () => Uint8Array.of(1, 2));
  client.handle("huge", () => "x".repeat(2 << 20));
  const asked = ["double", "later", "refuse", "raise", "wrong", "long", "unheard", "bytes", "huge"];
  tell(["joined", null, "@session/S", ["i", 0], JOINED], ...asked.map((event, i) => ["pub", "@session/S", i + 1, event, 4, { ask: event }]));
  await until(() => heard.filter(([kind]) => String(kind).startsWith("answer")).length === asked.length);
  const answers = Object.fromEntries(heard.filter(([kind]) => kind !== "ack").map(([kind, , id, ...rest]) => [id, [kind, ...rest]])) as object;
  assert.deepEqual(answers, {
    double: ["answer", 8],
    later: ["answer", 4],
    refuse: ["answer_error", "busy", "not now"],
    raise: ["answer_error", "failed", "the page's handler raised"],
    wrong: ["answer_error", "failed", "the page's handler raised"],
    long: ["answer_error", "too_large", "the data is too large for one message"],
    unheard: ["answer_error", "unknown_event", "this page has no handler for it"],
    bytes: ["answer", "AQI=", { b64: true }],
    huge: ["answer_error", "too_large", "the data is too large for one message"],
  });
});

test("a room the server joins is told before anything in it, and presence goes with its room", async () => {
  const told: unknown[] = [];
  client.onJoin((room) => {
    room.on("x", (data) => told.push([room.name, data]));
    room.onPresence(({ entered }) => told.push(entered.map(({ user }) => user)));
    room.onLeft((error) => told.push(error?.code));
  });
  tell(
    ["joined", null, "a", ["e", 0], { ...JOINED, unasked: true }],
    ["pub", "a", 1, "x", "first"],
    ["joined", null, "@presence/a", ["p", 0], { mode: "state", recovered: true }],
    ["pub", "@presence/a", 1, "member", { user: "ann", transport: "sse", meta: null }, { key: "s1" }],
    ["at", "@presence/a", ["p", 1]],
    ["joined", null, "@presence/nowhere", ["p", 0], { mode: "state", recovered: true }],
  );
  await until(() => told.length === 2);
  const room = client.join("a");
  assert.deepEqual([...room.presence.keys()], ["user:ann"]);
  tell(["left", null, "a", "removed"], ["left", null, "@presence/a"]);
  await until(() => told.length === 3);
  assert.deepEqual(told, [["a", "first"], ["ann"], "removed"]);
  assert.notEqual(client.join("a"), room);
});

test("a signal stops a request, before it is sent and after", async () => {
  await assert.rejects(client.request("x", 1, { signal: AbortSignal.abort(new Error("too late")) }), { message: "too late" });
  const stop = new AbortController();
  const unsent = client.request("unsent", 1, { signal: stop.signal });
  stop.abort();
  await assert.rejects(unsent, { name: "AbortError" });
  const stopLater = new AbortController();
  const sent = client.send("sent", 2, { signal: stopLater.signal });
  await until(() => last()[0] === "send");
  stopLater.abort(new Error("enough"));
  await assert.rejects(sent, { message: "enough" });
  assert.deepEqual(last(), ["send", 1, "sent", 2]);
});

test("what has an answer no longer listens to its signal", async () => {
  const { signal } = new AbortController();
  const added: unknown[] = [];
  const removed: unknown[] = [];
  signal.addEventListener = (...call: unknown[]) => void added.push(call);
  signal.removeEventListener = (...call: unknown[]) => void removed.push(call);
  const reply = client.request("x", 1, { signal, timeoutMs: 5_000 });
  await until(() => last()[0] === "send");
  tell(["reply", 1, "fine"]);
  assert.equal(await reply, "fine");
  await assert.rejects(client.request("x", "x".repeat(2 << 20), { signal }), { code: "too_large" });
  await assert.rejects(client.request("x", 1n, { signal, timeoutMs: 1 }), TypeError);
  assert.equal(added.length, 3);
  assert.deepEqual(removed, added);
});

test("a transport there is not is refused at once", () => {
  const transports = ["poll", "ws"] as never[];
  assert.throws(() => client.use(transports), { name: "RangeError", message: /"ws" is no transport: websocket, sse, poll/ });
  assert.throws(() => new PageClient("http://127.0.0.1:1/", { transports }), RangeError);
  assert.throws(() => client.use(["constructor"] as never[]), RangeError);
});

test("a room that is left is empty, and is told no rate", async () => {
  const room = await joined("a");
  tell(
    ["joined", null, "@presence/a", ["p", 0], { mode: "state", recovered: true }],
    ["pub", "@presence/a", 1, "member", { user: "ann", transport: "sse", meta: null }, { key: "s1" }],
    ["at", "@presence/a", ["p", 1]],
  );
  await until(() => room.presence.size === 1);
  void room.leave();
  assert.equal(room.presence.size, 0);
  await assert.rejects(room.setMaxRate(1), { code: "left" });
});

test("a room asked for after the end tells that it is left", async () => {
  client.close();
  const told: unknown[] = [];
  const room = client.join("a").onLeft((error) => told.push(error?.code));
  await assert.rejects(room.joined, { code: "closed" });
  assert.deepEqual(told, ["closed"]);
});

test("an event that means every event is published by nobody", async () => {
  const room = await joined("a");
  await assert.rejects(room.publish("*", 1), TypeError);
});

test("a request may wait for ever, and one without a limit of its own for the usual time", async () => {
  const replies = [Infinity, 2 ** 32, undefined].map((timeoutMs) => client.request("x", 1, { timeoutMs: timeoutMs as number }));
  await until(() => last()[1] === 3);
  await new Promise((resolve) => setTimeout(resolve, 5));
  tell(["reply", 1, "a"], ["reply", 2, "b"], ["reply", 3, "c"]);
  assert.deepEqual(await Promise.all(replies), ["a", "b", "c"]);
});

test("a rate there cannot be is refused at once, another is told to the server", async () => {
  for (const maxRate of [0, -1, 1e-320, 0.000_999, NaN, 1_001]) assert.throws(() => client.join("s", { maxRate }), RangeError);
  const room = await joined("s", { maxRate: 4 });
  assert.deepEqual(last(), ["join", 1, "s", { max_rate: 4 }]);
  assert.throws(() => room.setMaxRate(0), RangeError);
  const slower = room.setMaxRate(0.5);
  await until(() => last()[1] === 2);
  assert.deepEqual(last().slice(2), ["s", { position: ["e", 0], max_rate: 0.5 }]);
  tell(["joined", 2, "s", ["e", 0], JOINED]);
  await slower;
  assert.equal(room.maxRate, 0.5);
});

test("options there cannot be are refused at once, since a hello with them would end the session", async () => {
  for (const history of [-1, 0.5, NaN, "10"]) assert.throws(() => client.join("s", { history: history as number }), RangeError);
  for (const position of ["abc", "abc:", ":1", ["abc", "1"], ["abc", -1], ["abc"], [1, 1]]) {
    assert.throws(() => client.join("s", { position: position as string }), RangeError, String(position));
  }
  assert.throws(() => client.join("s", { maxRate: "4" as never }), RangeError);
  for (const name of ["", 1, null, undefined]) assert.throws(() => client.join(name as string), TypeError);
  const room = await joined("s", { position: "a:b:7" });
  assert.deepEqual(last(), ["join", 1, "s", { position: ["a:b", 7] }]);
  assert.throws(() => room.setMaxRate("4" as never), RangeError);
});

test("bytes and keys are published", async () => {
  const room = await joined("a");
  const taken = Promise.all([room.publish("x", Uint8Array.of(255), { key: "k" }), room.setPresence({ typing: true })]);
  await until(() => last()[0] === "presence");
  assert.deepEqual(heard.slice(-2), [["publish", 2, "a", "x", "/w==", { key: "k", b64: true }], ["presence", 3, "a", { typing: true }]]);
  tell(["ack", 3]);
  await taken;
});

test("what others see is what the server took last, and not what it refused", async () => {
  const room = await joined("a");
  const good = room.setPresence("good");
  const refused = ["bad", "worse"].map((meta) => assert.rejects(room.setPresence(meta), { code: "invalid" }));
  await until(() => last()[2] === "a" && last()[3] === "worse");
  tell(["reply", 2, null], ["error", 3, "invalid", ""], ["error", 4, "invalid", ""]);
  await Promise.all([good, ...refused]);
  await assert.rejects(room.setPresence({ bytes: Uint8Array.of(1) }), TypeError);
  await until(() => held !== null);
  answer(held as ServerResponse, [["welcome", { ...WELCOME, session: "another", token: "T2" }]]);
  await until(() => last()[0] === "presence" && last()[3] === "good");
});

test("a status tells that what was missed is on its way, and then that it came", async () => {
  const told: string[] = [];
  client.on("status", ({ text }) => void (told.at(-1) !== text && told.push(text)));
  client.cut();
  await until(() => told.at(-1) === "live over long poll");
  assert.ok(told[0]?.startsWith("offline since ") || told[0] === "connecting", told[0]);
  assert.deepEqual(told.slice(-2), ["catching up", "live over long poll"]);
});

test("half a character reaches the server as the sign for one that cannot be", async () => {
  const half = "\ud83d";
  const room = await joined("a");
  for (const settled of [
    client.send(`e${half}`, { [half]: [half, "\\ud83d", "\u{1f600}"] }),
    room.publish("x", Uint8Array.of(1), { key: half }),
    room.setPresence(half),
  ]) settled.catch(() => {});
  const other = client.join(`b${half}`);
  await until(() => heard.length >= 5);
  assert.deepEqual(heard.slice(-4).map(([kind, , ...rest]) => [kind, ...rest]), [
    ["send", "e\ufffd", { "\ufffd": ["\ufffd", "\\ud83d", "\u{1f600}"] }],
    ["publish", "a", "x", "AQ==", { key: "\ufffd", b64: true }],
    ["presence", "a", "\ufffd"],
    ["join", "b\ufffd", {}],
  ]);
  tell(["joined", 5, "b\ufffd", ["e", 0], JOINED]);
  await other.joined;
  assert.equal(client.join("b\ufffd"), other);
});
