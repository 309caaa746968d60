// SSE, long poll and what is sent beside them, over real HTTP.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { CLOSE } from "../src/codes";
import { exchange } from "../src/http";
import { openPoll } from "../src/poll";
import { Sender } from "../src/sender";
import { openStream } from "../src/stream";
import type { Transport } from "../src/transport";
import { AnsweringServer, ndjson, NotedLink, respond, type Request } from "./server";

let server: AnsweringServer;
let transport: Transport | undefined;

async function serve(answer: (request: Request, number: number) => void): Promise<string> {
  server = new AnsweringServer(answer);
  return server.start();
}

afterEach(() => {
  transport?.close();
  transport = undefined;
  server.stop();
});

const signal = () => new AbortController().signal;

test("an exchange posts frames as they must be posted, and returns frames", async () => {
  const base = await serve(({ response }) => ndjson(response, ["ack", 3], ["reply", 3, "é"]));
  assert.deepEqual(await exchange(`${base}send`, '["hello",{}]\n["send",3,"x",1]', signal(), 1_000), [["ack", 3], ["reply", 3, "é"]]);
  const [request] = server.requests;
  assert.deepEqual([request?.path, request?.type, request?.frames.length], ["/send", "application/x-ndjson", 2]);
});

test("a refusal is a frame as well", async () => {
  const base = await serve(({ response }) => respond(response, 403, "application/x-ndjson", '["close",3505,"no"]'));
  assert.deepEqual(await exchange(base, '["hello",{}]', signal(), 1_000), [["close", 3505, "no"]]);
});

for (const [what, status, body] of [
  ["a gateway's error page", 502, "<html><h1>502 Bad Gateway</h1></html>"],
  ["a captive portal", 200, "<!doctype html><p>Please log in"],
  ["an empty answer", 200, ""],
  ["an answer that is JSON but no frame", 200, '{"error": "nope"}'],
] as const) {
  test(`${what} is no answer`, async () => {
    const base = await serve(({ response }) => respond(response, status, "text/html", body));
    await assert.rejects(exchange(base, '["hello",{}]', signal(), 1_000));
  });
}

test("an answer that does not come in time is none, and neither is one nobody waits for", async () => {
  const base = await serve(() => {});
  await assert.rejects(exchange(base, '["hello",{}]', signal(), 50), { name: "AbortError" });
  const abort = new AbortController();
  const answer = exchange(base, '["hello",{}]', abort.signal, 60_000);
  abort.abort();
  await assert.rejects(answer, { name: "AbortError" });
});

test("one POST at a time, in order, and ready for more when the last is answered", async () => {
  const kilobytes = "x".repeat(100_000);
  let inFlight = 0;
  const base = await serve(({ response, frames }) => {
    inFlight += 1;
    assert.equal(inFlight, 1);
    setTimeout(() => {
      inFlight -= 1;
      ndjson(response, ["ack", frames.length]);
    }, 20);
  });
  const link = new NotedLink();
  const sender = new Sender(`${base}send`, link, signal());
  sender.send([1, 2, 3].map((seq) => `["send",${seq},"x","${kilobytes}"]`));
  await link.until(() => link.frames.length === 1);
  assert.ok(sender.busy);
  await link.until(() => link.frames.length === 2);
  assert.ok(!sender.busy);
  sender.send(['["send",4,"x",null]']);
  await link.until(() => link.frames.length === 3);
  assert.deepEqual(server.requests.map(({ frames }) => frames.slice(1).map(([, seq]) => seq)), [[1, 2], [3], [4]]);
});

test("what did not arrive is sent again, on the attach of that moment", async () => {
  const link = new NotedLink();
  const base = await serve(({ response }, number) => {
    if (number === 1) response.destroy();
    else if (number === 2) {
      link.attach = 7;
      respond(response, 409, "application/x-ndjson", `["close",${CLOSE.stale_attach},""]`);
    } else ndjson(response, ["ack", 1]);
  });
  new Sender(`${base}send`, link, signal()).send(['["send",1,"x",null]']);
  await link.until(() => link.frames.length === 1);
  assert.deepEqual(link.frames, [["ack", 1]]);
  assert.deepEqual(server.requests.map(({ frames }) => frames.map((frame) => (frame[1] as { attach?: number }).attach ?? frame[1])), [[0, 1], [0, 1], [7, 1]]);
  assert.equal(link.ends, 0);
});

test("where nothing goes upstream the transport is over", async () => {
  const base = await serve(({ response }) => respond(response, 502, "text/html", "no"));
  const link = new NotedLink();
  new Sender(`${base}send`, link, signal()).send(['["ping",1]']);
  await link.until(() => link.ends > 0);
  assert.equal(server.requests.length, 4);
});

test("and where what was sent has an answer that makes no sense", async () => {
  const base = await serve(({ response }) => ndjson(response, ["joined"]));
  const link = new NotedLink();
  link.heard = () => assert.fail("no room");
  new Sender(`${base}send`, link, signal()).send(['["ping",1]']);
  await link.until(() => link.ends > 0);
  assert.equal(server.requests.length, 1);
});

test("after the end nothing is sent any more", async () => {
  const base = await serve(({ response }) => response.destroy());
  const abort = new AbortController();
  const link = new NotedLink();
  new Sender(`${base}send`, link, abort.signal).send(['["ping",1]']);
  await server.came(1);
  abort.abort();
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.deepEqual([server.requests.length, link.ends], [1, 0]);
});

test("a stream brings frames as they come, and its end is an end", async () => {
  const base = await serve(({ path, response }) => {
    if (path === "/send") return ndjson(response, ["ack", 9]);
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
    response.write('data: ["ping",1]\n\ndata: ["ack"');
    setTimeout(() => response.write(",1]\ndata: [\"ack\",2]\n\n"), 20);
  });
  const link = new NotedLink();
  transport = openStream(base, link);
  await link.until(() => link.frames.length === 3);
  transport.send(['["pong",1]', '["ping",5]']);
  await link.until(() => link.frames.length === 4);
  assert.deepEqual(link.frames, [["ping", 1], ["ack", 1], ["ack", 2], ["ack", 9]]);
  assert.deepEqual(server.requests.map(({ path }) => path), ["/sse", "/send"]);
  assert.equal(server.requests[1]?.frames.length, 3, "one POST for both");
  server.requests[0]?.response.end();
  await link.until(() => link.ends > 0);
});

test("a refused stream says why, and ends", async () => {
  const base = await serve(({ response }) => respond(response, 503, "application/x-ndjson", '["close",3000,"stopping",{"retry_after":2}]'));
  const link = new NotedLink();
  transport = openStream(base, link);
  await link.until(() => link.ends > 0);
  assert.deepEqual(link.frames, [["close", 3000, "stopping", { retry_after: 2 }]]);
});

test("what is no event stream ends it, and so does one that makes no sense", async () => {
  const base = await serve(({ response }, number) => {
    if (number === 1) respond(response, 200, "text/html", "<p>Please log in");
    else respond(response, 200, "text/event-stream", "data: <p>\n\n");
  });
  for (let i = 0; i < 2; i += 1) {
    const link = new NotedLink();
    transport = openStream(base, link);
    await link.until(() => link.ends > 0);
    assert.deepEqual(link.frames, []);
  }
});

test("polls follow each other, but not in a rush: the first is not held, each raises the attach", async () => {
  const beganMs = Date.now();
  const base = await serve(({ response }, number) => {
    if (number < 4) ndjson(response, ["welcome", {}], ["ack", number]);
  });
  const link = new NotedLink();
  transport = openPoll(base, link);
  await server.came(4);
  assert.ok(Date.now() - beganMs >= 150);
  assert.deepEqual(server.requests.map(({ frames }) => frames[0]?.[1]), [
    { attach: 1, wait: 0 },
    { attach: 2, wait: 25 },
    { attach: 3, wait: 25 },
    { attach: 4, wait: 25 },
  ]);
  assert.equal(link.frames.length, 6);
});

test("asking lets go of the poll that is held, and makes one that is not", async () => {
  const base = await serve(({ response }, number) => {
    if (number === 1 || number === 3) ndjson(response, ["welcome", {}]);
  });
  const link = new NotedLink();
  transport = openPoll(base, link);
  await server.came(2);
  transport.poke?.();
  await server.came(4);
  assert.deepEqual(server.requests.map(({ frames }) => (frames[0]?.[1] as { wait: number }).wait), [0, 25, 0, 25]);
  assert.equal(link.ends, 0);
});

test("a poll that fails is the end of polling, and closing is the end of polls", async () => {
  let answers = ["", '["ack",1]', "<html>"];
  const base = await serve(({ response }) => respond(response, 200, "application/x-ndjson", answers.shift() ?? ""));
  for (let i = 0; i < 3; i += 1) {
    const link = new NotedLink();
    transport = openPoll(base, link);
    await link.until(() => link.ends > 0);
    assert.deepEqual([link.frames.length, server.requests.length], [0, i + 1]);
  }
  answers = Array(100).fill('["welcome",{}]') as string[];
  const link = new NotedLink();
  transport = openPoll(base, link);
  await link.until(() => link.frames.length > 2);
  transport.close();
  const count = link.frames.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([link.frames.length, link.ends], [count, 0]);
});
