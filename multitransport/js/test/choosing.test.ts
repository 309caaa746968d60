// Which transport carries the session: what is tried, beside what, and what is held against it.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { CLOSE } from "../src/codes";
import { alive, calm, connection, failing, last, names, opened, page, stage, start, type Played } from "./played";
import { pass, sleep } from "./time";

stage();

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
