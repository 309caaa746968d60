// The connection over transports that the test plays, in time that the test lets pass.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { Options, Status, TransportName } from "../src/api";
import { CLOSE } from "../src/codes";
import { Connection } from "../src/connection";
import type { RequestError } from "../src/errors";
import type { ServerFrame, Welcome } from "../src/frames";
import type { Link, Openers } from "../src/transport";
import { pass, releaseTime, sleep, stopTime } from "./time";

/** A transport that does what the test says. */
class Played {
  closed = false;
  readonly sent: string[] = [];
  poked = 0;
  readonly openedMs = Date.now();

  constructor(
    readonly name: TransportName,
    readonly link: Link,
  ) {}

  hello(): Record<string, unknown> {
    return (JSON.parse(this.link.hello()) as [string, Record<string, unknown>])[1];
  }

  welcome(more: Partial<Welcome> = {}): void {
    const welcome = { session: "S", token: "T", resumed: true, seq: 0, window: 64, ping: 25, grace: 10, max_message: 1 << 20 };
    this.hear(["welcome", { ...welcome, ...more }]);
  }

  hear(...frames: ServerFrame[]): void {
    this.link.heard(frames);
  }

  pong(): void {
    this.hear(["pong", (JSON.parse(this.pings.at(-1) ?? `[0,${Date.now()}]`) as [string, number])[1]]);
  }

  get pings(): string[] {
    return this.sent.filter((line) => line.startsWith('["ping"'));
  }

  /** All is well with it. */
  prove(): void {
    this.hello();
    this.welcome();
    if (this.name !== "poll") this.pong();
  }
}

// What browsers have and Node does not, or not always had.
globalThis.reportError ??= () => {};
globalThis.crypto ??= webcrypto as Crypto;

let opened: Played[];
let statuses: Status[];
let connection: Connection;
const page = { onLine: true as boolean };

function start(options: Options = {}): void {
  const open = (name: TransportName) => (_: string, link: Link) => {
    const played = new Played(name, link);
    opened.push(played);
    return {
      send: (lines: string[]) => void played.sent.push(...lines),
      close: () => {
        played.closed = true;
      },
      ...(name === "poll" && { poke: () => void (played.poked += 1) }),
    };
  };
  const openers: Openers = { websocket: open("websocket"), sse: open("sse"), poll: open("poll") };
  connection = new Connection("http://test/", openers, options, (status) => statuses.push(status));
}

/** Let time pass while the server pings over all that is well. */
async function calm(ms: number): Promise<void> {
  for (let left = ms; left >= 0; left -= 5_000) {
    await pass(Math.min(left, 5_000));
    for (const played of opened) if (!played.closed && played.pings.length) played.hear(["ping", 1]);
  }
}

/** Every attempt so far fails at once, until the time is over. */
async function failing(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 10) {
    await pass(10);
    for (const played of opened) if (!played.closed) played.link.ended();
  }
}

function last(name: TransportName): Played {
  const played = opened.at(-1);
  assert.equal(played?.name, name);
  return played as Played;
}

const names = () => opened.map(({ name }) => name);
const alive = () => opened.filter(({ closed }) => !closed).map(({ name }) => name);

beforeEach(() => {
  stopTime();
  mock.method(Math, "random", () => 0.5);
  Object.defineProperty(globalThis, "navigator", { value: page, configurable: true });
  page.onLine = true;
  opened = [];
  statuses = [];
});

afterEach(() => {
  connection.close(null, "the test is over");
  releaseTime();
  mock.restoreAll();
});

test("WebSocket first; a welcome makes it live, an answered ping proves it", async () => {
  start();
  assert.equal(connection.status.state, "connecting");
  await pass(0);
  const socket = last("websocket");
  assert.equal(socket.hello()["attach"], 1);
  socket.welcome();
  assert.deepEqual([connection.status.state, connection.status.transport, connection.status.session], ["live", "websocket", "S"]);
  await pass(40);
  socket.pong();
  assert.equal(connection.status.roundTripMs, 40);
  await pass(20_000);
  assert.deepEqual(names(), ["websocket"]);
  assert.equal(connection.status.reconnects, 0);
});

test("an open WebSocket whose ping is not answered is none", async () => {
  start();
  await pass(0);
  last("websocket").hello();
  last("websocket").welcome();
  await pass(2_900);
  assert.deepEqual(alive(), ["websocket"]);
  await pass(200);
  assert.ok(opened[0]?.closed);
});

test("where WebSocket cannot connect SSE carries at once, and WebSocket is tried again ever more rarely", async () => {
  start();
  await pass(0);
  last("websocket").link.ended(1_006);
  await pass(0);
  const stream = last("sse");
  stream.prove();
  assert.equal(connection.status.transport, "sse");
  const at: number[] = [];
  for (let i = 0; i < 4; i += 1) {
    const before = Date.now();
    const count = opened.length;
    while (opened.length === count) {
      await pass(500);
      stream.hear(["ping", 1]);
    }
    at.push(Math.round((Date.now() - before) / 1_000));
    last("websocket").link.ended(1_006);
  }
  assert.deepEqual(at, [1, 60, 120, 240]);
  assert.equal(connection.status.transport, "sse");
  assert.ok(!stream.closed);
});

test("three that open and die are enough", async () => {
  start();
  for (let i = 0; i < 3; i += 1) {
    while (opened.length === i) await pass(100);
    last("websocket").prove();
    await pass(1_000);
    last("websocket").link.ended(1_006);
  }
  await pass(0);
  last("sse").prove();
  await calm(50_000);
  assert.deepEqual(names(), ["websocket", "websocket", "websocket", "sse"]);
});

test("a slow WebSocket gets SSE beside it, and takes over when it comes up after all", async () => {
  start();
  await pass(2_400);
  assert.deepEqual(names(), ["websocket"]);
  await pass(200);
  const [socket, stream] = opened as [Played, Played];
  assert.equal(stream.hello()["attach"], 1);
  stream.welcome();
  stream.pong();
  assert.equal(connection.status.transport, "sse");
  await pass(1_000);
  assert.equal(socket.hello()["attach"], 2);
  socket.welcome();
  assert.equal(connection.status.transport, "websocket");
  assert.ok(stream.closed);
  socket.pong();
  await pass(5_000);
  assert.deepEqual(names(), ["websocket", "sse"]);
});

test("a WebSocket that never comes up is held against it while SSE works", async () => {
  start();
  await pass(2_600);
  last("sse").prove();
  await pass(8_000);
  assert.ok(opened[0]?.closed);
  await calm(50_000);
  assert.equal(opened.length, 2, "not after a second, but after a minute");
});

test("a welcome that comes just after the next transport has begun holds once it is proven", async () => {
  start();
  await pass(0);
  const socket = last("websocket");
  socket.hello();
  await pass(2_600);
  const stream = last("sse");
  stream.hello();
  socket.welcome();
  assert.equal(connection.status.transport, "websocket");
  assert.ok(!stream.closed, "it may already have taken the session");
  socket.pong();
  assert.ok(stream.closed);
});

test("and gives way where the next one has taken the session", async () => {
  start();
  await pass(0);
  const socket = last("websocket");
  const first = socket.hello();
  await pass(2_600);
  const stream = last("sse");
  stream.hello();
  socket.welcome();
  socket.hear(["close", CLOSE.superseded, ""]);
  stream.welcome();
  stream.pong();
  assert.equal(connection.status.transport, "sse");
  assert.equal(names().length, 2);
  await pass(1_200);
  const again = last("websocket").hello();
  assert.deepEqual([again["new"], again["token"]], [first["new"], "T"], "it is one session all the time");
  last("websocket").welcome();
  last("websocket").pong();
  assert.equal(connection.status.transport, "websocket", "it was only slow");
});

test("a stream whose pong is held back makes room for polls", async () => {
  start({ transports: ["sse", "poll"] });
  await pass(0);
  const stream = last("sse");
  stream.hello();
  stream.welcome();
  stream.hear(["ping", 1]);
  await pass(3_100);
  last("poll").prove();
  assert.equal(connection.status.transport, "poll");
  await pass(30_000);
  assert.equal(opened.length, 2, "and is left alone");
});

test("a page that comes back before the proof changes nothing about it", async () => {
  start({ transports: ["sse", "poll"] });
  await pass(0);
  last("sse").hello();
  last("sse").welcome();
  await pass(1_000);
  connection.wake();
  last("sse").hear(["ping", 1]);
  await pass(2_200);
  assert.equal(last("poll").name, "poll");
});

test("what carries may die while a better one is tried: that one gets company in time", async () => {
  start();
  await pass(0);
  last("websocket").link.ended(1_006);
  await pass(0);
  const stream = last("sse");
  stream.prove();
  await pass(5_000);
  assert.equal(last("websocket").name, "websocket");
  stream.link.ended();
  await pass(2_600);
  assert.deepEqual(alive(), ["websocket", "sse"]);
});

test("a stream that comes out only when it ends is no late welcome", async () => {
  start({ transports: ["sse", "poll"] });
  await pass(0);
  const stream = last("sse");
  stream.hello();
  await pass(2_600);
  const polls = last("poll");
  polls.hello();
  stream.welcome();
  stream.hear(["ping", 1], ["close", CLOSE.superseded, ""]);
  polls.welcome();
  await pass(30_000);
  assert.equal(connection.status.transport, "poll");
  assert.deepEqual(names(), ["sse", "poll"]);
});

test("a busy page does not take a welcome in the queue for a slow one", async () => {
  start();
  await pass(0);
  sleep(4_000);
  await pass(100);
  assert.deepEqual(names(), ["websocket"]);
  await pass(2_600);
  assert.deepEqual(names(), ["websocket", "sse"]);
});

test("a dead network is nobody's fault, and gets at most two attempts in any 500 ms", async () => {
  start();
  await failing(120_000);
  const times = opened.map(({ openedMs }) => openedMs);
  times.forEach((time, i) => assert.ok((times[i + 2] ?? Infinity) - time >= 500));
  assert.deepEqual(names().slice(0, 7), ["websocket", "sse", "poll", "websocket", "sse", "poll", "websocket"]);
  assert.ok(opened.length < 25, `${opened.length} attempts in two minutes`);
  while (alive()[0] !== "sse") {
    opened.at(-1)?.link.ended();
    while (!alive().length) await pass(10);
  }
  last("sse").prove();
  await pass(1_200);
  last("websocket").prove();
  assert.equal(connection.status.transport, "websocket", "back to the best a second later");
});

test("without a network nothing is learned about transports, and online tries at once", async () => {
  start();
  page.onLine = false;
  await failing(60_000);
  assert.deepEqual(new Set(names()), new Set(["websocket"]));
  const before = opened.length;
  page.onLine = true;
  connection.networkChanged();
  await pass(500);
  assert.equal(opened.length, before + 1);
});

test("a server that stops says when to come back, and no event makes it earlier", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  last("websocket").hear(["close", CLOSE.going_away, "stopping", { retry_after: 7 }]);
  assert.deepEqual(
    [connection.status.state, connection.status.retryInMs, connection.status.code],
    ["offline", 7_000, CLOSE.going_away],
  );
  connection.networkChanged();
  await pass(6_800);
  assert.equal(opened.length, 1);
  await pass(300);
  last("websocket").prove();
  assert.deepEqual([connection.status.state, connection.status.code], ["live", null]);
});

test("a code on the socket counts like the frame", async () => {
  start();
  await pass(0);
  last("websocket").link.ended(CLOSE.internal, "ref 1");
  assert.deepEqual([connection.status.code, connection.status.reason], [CLOSE.internal, "ref 1"]);
  await pass(1_000);
  assert.deepEqual(names(), ["websocket", "websocket"], "it came from the server, so WebSocket works");
});

test("a transport that is not allowed is left at once, and when none is, that is final", async () => {
  start();
  for (const name of ["websocket", "sse"] as const) {
    await pass(500);
    last(name).hello();
    last(name).hear(["close", CLOSE.transport_not_allowed, "no"]);
  }
  await pass(500);
  last("poll").prove();
  await pass(30_000);
  assert.deepEqual(names(), ["websocket", "sse", "poll"]);
  last("poll").hear(["close", CLOSE.transport_not_allowed, "no"]);
  assert.deepEqual([connection.status.state, connection.status.code], ["closed", CLOSE.transport_not_allowed]);
});

test("another network changes what was learned, but not what the server allows", async () => {
  start();
  await pass(0);
  last("websocket").hello();
  last("websocket").hear(["close", CLOSE.transport_not_allowed, "no"]);
  await pass(500);
  last("sse").hello();
  last("sse").welcome();
  await pass(3_500);
  last("poll").prove();
  connection.networkChanged();
  connection.cut();
  await pass(500);
  assert.equal(last("sse").name, "sse", "it was held back there, it may not be here");
});

test("a copied session: who is superseded on its newest transport goes on with a session of its own", async () => {
  start();
  await pass(0);
  const first = last("websocket").hello();
  last("websocket").welcome();
  last("websocket").pong();
  last("websocket").hear(["close", CLOSE.superseded, ""]);
  await pass(1_000);
  const second = last("websocket").hello();
  assert.notEqual(second["new"], first["new"]);
  assert.match(String(second["new"]), /^[\w-]{22,64}$/);
  assert.deepEqual([second["attach"], second["token"]], [1, undefined]);
});

test("a final code ends everything", async () => {
  start();
  await pass(0);
  const failed: (RequestError | null)[] = [];
  connection.session.submit("send", ["x"], (error) => failed.push(error));
  last("websocket").hello();
  last("websocket").hear(["close", CLOSE.refused, "not you", { code: "banned" }]);
  assert.deepEqual([connection.status.state, connection.status.code, connection.status.reason], ["closed", CLOSE.refused, "not you"]);
  assert.deepEqual([failed[0]?.code, failed[0]?.message], ["banned", "not you"]);
  await pass(60_000);
  assert.equal(opened.length, 1);
});

test("silence for ping and grace is death", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  await pass(30_000);
  last("websocket").hear(["ping", 1]);
  await pass(34_500);
  assert.equal(connection.status.state, "live");
  await pass(1_000);
  assert.equal(opened.length, 2);
  assert.ok(opened[0]?.closed);
});

test("the server's pings are answered", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  last("websocket").hear(["ping", 77]);
  await pass(0);
  assert.ok(last("websocket").sent.includes('["pong",77]'));
});

test("a page that was asleep asks before it believes in silence", async () => {
  start();
  await pass(0);
  const socket = last("websocket");
  socket.prove();
  sleep(600_000);
  assert.ok(!socket.closed);
  await pass(0);
  assert.equal(socket.pings.length, 2);
  socket.pong();
  await pass(5_000);
  assert.ok(!socket.closed);
  connection.wake();
  await pass(3_100);
  assert.ok(socket.closed, "no answer within the time it has");
  await pass(300);
  assert.equal(opened.length, 2);
});

test("a page in the cache lets go of the line, and is back at once", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  connection.suspend();
  assert.ok(opened[0]?.closed);
  await pass(100_000);
  assert.equal(opened.length, 1);
  connection.wake();
  await pass(10);
  assert.equal(opened.length, 2);
  assert.equal(last("websocket").hello()["token"], "T");
});

test("another transport is used on demand, and the old one carries until then", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  connection.use(["sse"]);
  await pass(500);
  const stream = last("sse");
  assert.deepEqual(alive(), ["websocket", "sse"]);
  assert.equal(stream.hello()["attach"], 2);
  stream.welcome();
  assert.ok(opened[0]?.closed);
  assert.equal(connection.status.transport, "sse");
  opened[0]?.hear(["close", CLOSE.superseded, ""]);
  stream.pong();
  connection.use(["websocket", "sse", "poll"]);
  await pass(500);
  last("websocket").prove();
  assert.equal(connection.status.transport, "websocket");
});

test("one that is demanded and does not work leaves the page without any", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  connection.use(["poll"]);
  await pass(500);
  last("poll").link.ended();
  assert.ok(opened[0]?.closed);
  await failing(30_000);
  assert.deepEqual(new Set(names().slice(1)), new Set(["poll"]));
});

test("polling pauses while a better transport takes the session, and goes on where that fails", async () => {
  start({ transports: ["websocket", "poll"] });
  await pass(0);
  last("websocket").link.ended(1_006);
  await pass(0);
  const polls = last("poll");
  polls.prove();
  await pass(1_200);
  const socket = last("websocket");
  assert.ok(!polls.closed, "until it says hello");
  socket.hello();
  assert.ok(polls.closed);
  assert.equal(connection.status.state, "live");
  await pass(3_100);
  assert.ok(socket.closed);
  await pass(500);
  last("poll").prove();
  assert.equal(connection.status.transport, "poll");
});

test("a poll that learns that its session is gone begins anew", async () => {
  start({ transports: ["poll"] });
  await pass(0);
  last("poll").prove();
  connection.session.submit("send", ["x"], () => {});
  connection.pump();
  await pass(0);
  assert.deepEqual(last("poll").sent, ['["send",1,"x"]']);
  last("poll").welcome({ session: "R", resumed: false });
  assert.ok(opened[0]?.closed, "what it still has to send belongs to the session that is gone");
  await pass(500);
  last("poll").prove();
  assert.equal(connection.status.session, "S");
});

test("cutting is no verdict", async () => {
  start();
  for (let i = 0; i < 5; i += 1) {
    while (!alive().length) await pass(100);
    last("websocket").prove();
    await pass(100);
    connection.cut();
  }
  while (!alive().length) await pass(100);
  assert.deepEqual(new Set(names()), new Set(["websocket"]));
});

test("the waits get short again only after a transport has lasted", async () => {
  start({ transports: ["websocket"] });
  await failing(20_000);
  const attempts = connection.status.attempt;
  assert.ok(attempts > 3);
  while (opened.at(-1)?.closed) await pass(100);
  last("websocket").prove();
  await pass(1_000);
  last("websocket").link.ended();
  assert.ok(connection.status.attempt > attempts);
  while (opened.at(-1)?.closed) await pass(100);
  last("websocket").prove();
  await pass(11_000);
  page.onLine = false;
  last("websocket").link.ended();
  assert.equal(connection.status.attempt, 1);
});

test("auth is asked at each attempt, and one that fails is tried again", async () => {
  mock.method(globalThis, "reportError", () => {});
  let asked = 0;
  start({
    auth: () => {
      asked += 1;
      return asked === 1 ? Promise.reject(new Error("no token today")) : Promise.resolve({ asked });
    },
  });
  await pass(0);
  assert.equal(opened.length, 0);
  await pass(1_000);
  assert.deepEqual(last("websocket").hello()["auth"], { asked: 2 });
});

test("a page that is slow to say what auth is does not count against the transport, nor for ever", async () => {
  let asked = 0;
  start({ auth: () => ((asked += 1) === 1 ? new Promise(() => {}) : new Promise((resolve) => setTimeout(resolve, 12_000))) });
  await pass(29_000);
  assert.deepEqual([asked, opened.length], [1, 0]);
  await pass(14_000);
  last("websocket").prove();
  assert.deepEqual([asked, names()], [2, ["websocket"]]);
});

test("a browser that does not even begin makes room for the next transport", async () => {
  const begin = mock.fn(() => {
    throw new Error("the page's policy forbids it");
  });
  start();
  Object.assign(connection.openers, { websocket: begin });
  await pass(500);
  last("sse").prove();
  assert.equal(begin.mock.callCount(), 1);
});

test("what is wanted in one turn is sent at once", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  await pass(0);
  last("websocket").sent.length = 0;
  for (const event of ["a", "b"]) {
    connection.session.submit("send", [event, null], () => {});
    connection.pump();
  }
  assert.deepEqual(last("websocket").sent, []);
  await pass(0);
  assert.deepEqual(last("websocket").sent, ['["send",1,"a",null]', '["send",2,"b",null]']);
});

test("bye goes over the socket, and closing ends it all", async () => {
  start();
  await pass(0);
  last("websocket").prove();
  await pass(0);
  last("websocket").sent.length = 0;
  connection.bye();
  connection.close(null, "done");
  assert.deepEqual(last("websocket").sent, ['["bye"]']);
  assert.ok(last("websocket").closed);
  await pass(60_000);
  assert.equal(opened.length, 1);
});

test("bye beside a stream brings what a request under way may take with it", async () => {
  const bodies: Blob[] = [];
  Object.assign(navigator, { sendBeacon: (_: string, body: Blob) => bodies.push(body) > 0 });
  start({ transports: ["sse"] });
  await pass(0);
  last("sse").prove();
  connection.session.submit("send", ["sent", null], () => {});
  connection.pump();
  await pass(0);
  connection.session.submit("send", ["unsent", null], () => {});
  connection.bye();
  const [, ...lines] = (await bodies[0]!.text()).split("\n");
  assert.deepEqual(lines.filter((each) => !each.startsWith('["p')), ['["send",1,"sent",null]', '["send",2,"unsent",null]', '["bye"]']);
});

test("a poll is asked by another that is not held", async () => {
  start({ transports: ["poll"] });
  await pass(0);
  await pass(30);
  const polls = last("poll");
  polls.prove();
  assert.equal(connection.status.roundTripMs, 30);
  await pass(5_000);
  polls.welcome();
  assert.equal(connection.status.roundTripMs, 30, "one that was held says nothing");
  connection.ping();
  await pass(60);
  assert.equal(polls.poked, 1);
  polls.welcome();
  assert.equal(connection.status.roundTripMs, 60);
  assert.deepEqual(polls.sent, []);
});
