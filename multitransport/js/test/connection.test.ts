// How a session is kept alive over whatever carries it, and how it ends.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { CLOSE } from "../src/codes";
import type { RequestError } from "../src/errors";
import { Reader } from "../src/reader";
import { calm, connection, failing, last, names, opened, page, stage, start } from "./played";
import { pass, sleep } from "./time";

stage();

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

test("a transport that goes on in a room from more than is here is given up, and is not to blame", async () => {
  start();
  await pass(0);
  const nobody = { joined() {}, left() {}, lost() {}, published() {} };
  connection.session.join(new Reader("a", nobody));
  const socket = last("websocket");
  socket.hello();
  socket.welcome();
  socket.hear(["joined", null, "a", ["e", 0], { mode: "state", recovered: true }], ["pub", "a", 7, "x", 1, { key: "k" }]);
  socket.hear(["joined", null, "a", ["e", 7], { mode: "state", recovered: true }], ["at", "a", ["e", 8]]);
  assert.deepEqual([socket.closed, connection.status.state], [true, "offline"]);
  await pass(500);
  assert.deepEqual(last("websocket").hello()["rooms"], { a: { position: ["e", 0] } });
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

test("a poll whose server lost what polls before it had taken is given that again, and nothing else", async () => {
  start({ transports: ["poll"] });
  await pass(0);
  const polls = last("poll");
  const send = async (event: string) => {
    connection.session.submit("send", [event], () => {});
    connection.pump();
    await pass(0);
  };
  polls.prove();
  polls.hello();
  for (const event of ["a", "b", "c"]) await send(event);
  polls.welcome({ seq: 3 });
  assert.equal(polls.sent.length, 3);
  polls.hello();
  await send("d");
  polls.sent.length = 0;
  polls.welcome({ seq: 1 });
  await pass(0);
  assert.deepEqual(polls.sent, ['["send",2,"b"]', '["send",3,"c"]']);
  polls.sent.length = 0;
  for (let i = 0; i < 3; i += 1) {
    polls.hear(["ack", 1]);
    await pass(0);
  }
  assert.deepEqual(polls.sent, [], "once for a welcome");
});

test("what is repeated goes out once however many polls say that it is missing while it is on its way", async () => {
  start({ transports: ["poll"] });
  await pass(0);
  const polls = last("poll");
  polls.prove();
  connection.session.submit("send", ["a"], () => {});
  connection.pump();
  await pass(0);
  polls.busy = true;
  for (let i = 0; i < 5; i += 1) {
    polls.hello();
    polls.welcome({ seq: 0 });
    await pass(0);
  }
  polls.sent.length = 0;
  polls.busy = false;
  polls.hear(["ack", 0]);
  await pass(0);
  assert.deepEqual(polls.sent, ['["send",1,"a"]']);
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

test("what gathers while requests are on their way goes out at once when they have arrived", async () => {
  start({ transports: ["sse"] });
  await pass(0);
  last("sse").prove();
  await pass(0);
  last("sse").sent.length = 0;
  last("sse").busy = true;
  for (const event of ["a", "b"]) {
    connection.session.submit("send", [event, null], () => {});
    connection.pump();
    await pass(0);
  }
  assert.deepEqual(last("sse").sent, []);
  last("sse").hear(["ack", 0]);
  last("sse").busy = false;
  await pass(0);
  assert.deepEqual(last("sse").sent, ['["send",1,"a",null]', '["send",2,"b",null]']);
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

test("a page whose node is about to stop goes on elsewhere before it lets go", async () => {
  start();
  await pass(0);
  const first = last("websocket");
  first.prove();
  first.hear(["move"]);
  await pass(0);
  assert.deepEqual([opened.length, first.closed, connection.status.state], [2, false, "live"]);
  // What was the session's before is still heard.
  last("websocket").hello();
  first.hear(["ping", 5]);
  last("websocket").welcome();
  assert.deepEqual([first.closed, connection.status.state, connection.status.reconnects], [true, "live", 1]);
  last("websocket").pong();
  await calm(60_000);
  assert.equal(opened.length, 2);
});

test("it tries again while no other node takes it, and nothing is held against the transport", async () => {
  start({ transports: ["websocket", "sse"] });
  await pass(0);
  const first = last("websocket");
  first.prove();
  first.hear(["move"]);
  await failing(1_100, first);
  last("websocket").hello();
  last("websocket").hear(["close", CLOSE.going_away, "stopping", { retry_after: 0.1 }]);
  await pass(1_000);
  assert.deepEqual([first.closed, connection.status.state, connection.status.code], [false, "live", null]);
  assert.deepEqual(new Set(names()), new Set(["websocket"]));
  assert.ok(opened.length >= 4 && opened.length <= 10);
  // The node is gone before another one was found.
  first.hear(["close", CLOSE.going_away, "stopping", { retry_after: 0.1 }]);
  last("websocket").prove();
  assert.deepEqual([first.closed, connection.status.state, connection.status.transport], [true, "live", "websocket"]);
});

test("who polls simply polls on", async () => {
  start({ transports: ["poll"] });
  await pass(0);
  last("poll").prove();
  last("poll").hear(["move"]);
  await pass(1_000);
  assert.deepEqual([opened.length, connection.status.state], [1, "live"]);
});
