import assert from "node:assert/strict";
import { test } from "node:test";
import { asMessage, asText, fromMessage } from "../src/binary";
import { decode } from "../src/frames";
import { Session } from "../src/session";

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);

/** What a session sends for these elements. */
function sent(kind: "send" | "publish" | "presence", parts: unknown[]) {
  const session = new Session("N".repeat(22));
  const welcome = { session: "S", token: "T", resumed: false, seq: 0, window: 64, ping: 25, grace: 10, max_message: 1 << 20 };
  session.welcome(welcome, session.hello(undefined).asked);
  session.submit(kind, parts, (error) => assert.fail(error ?? "nothing answers"));
  const [line] = session.outgoing();
  assert.ok(line !== undefined);
  return line;
}

function binary(kind: "send" | "publish", parts: unknown[]) {
  const line = sent(kind, parts);
  assert.ok(typeof line !== "string");
  return line;
}

/** A binary message by the book. */
function message(head: unknown[], bytes: Uint8Array, claimed?: number): ArrayBuffer {
  const json = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(claimed ?? json.length);
  return new Uint8Array(Buffer.concat([length, json, bytes])).buffer;
}

test("bytes go out as a message of their own", () => {
  assert.deepEqual(asMessage(binary("send", ["x", BYTES])).buffer, message(["send", 1, "x", null], BYTES));
  const keyed = binary("publish", ["ä", "x", BYTES, { key: "k" }]);
  assert.deepEqual(asMessage(keyed).buffer, message(["publish", 1, "ä", "x", null, { key: "k" }], BYTES));
});

test("and as base64 where only text goes", () => {
  const base64 = Buffer.from(BYTES).toString("base64");
  assert.deepEqual(JSON.parse(asText(binary("send", ["x", BYTES]))), ["send", 1, "x", base64, { b64: true }]);
  const keyed = asText(binary("publish", ["a", "x", BYTES, { key: "k" }]));
  assert.deepEqual(JSON.parse(keyed), ["publish", 1, "a", "x", base64, { key: "k", b64: true }]);
  assert.deepEqual(JSON.parse(asText(binary("send", ["x", new Uint8Array()]))), ["send", 1, "x", "", { b64: true }]);
});

test("what is sent is what was there at the call", () => {
  const bytes = Uint8Array.of(1);
  const line = binary("send", ["x", bytes]);
  bytes[0] = 2;
  assert.deepEqual(line.bytes, Uint8Array.of(1));
});

test("what others see of a session is JSON", () => {
  assert.throws(() => sent("presence", ["a", Uint8Array.of(1, 2)]), TypeError);
});

test("whatever holds bytes is bytes, where it is the whole of the data", () => {
  const { buffer } = Uint8Array.of(9, 1, 2, 9);
  const views = [new DataView(buffer, 1, 2), new Uint16Array(Uint8Array.of(1, 2).buffer), Uint8Array.of(1, 2).buffer];
  for (const view of views) assert.equal(asText(sent("send", ["e", view])), '["send",1,"e","AQI=",{"b64":true}]');
});

test("bytes inside of data are an error rather than an empty object", () => {
  for (const inside of [Uint8Array.of(1), new ArrayBuffer(1), new DataView(new ArrayBuffer(1)), new Blob(["x"])]) {
    assert.throws(() => sent("send", ["e", { file: inside }]), { name: "TypeError", message: /whole of the data/ });
  }
  assert.throws(() => sent("send", ["e", new Blob(["x"])]), TypeError);
});

test("bytes come in either way", () => {
  for (const bytes of [BYTES, new Uint8Array()]) {
    assert.deepEqual(fromMessage(message(["pub", "a", 4, "x", null, { from: "Z" }], bytes)), ["pub", "a", 4, "x", bytes, { from: "Z" }]);
    assert.deepEqual(fromMessage(message(["reply", 1, null], bytes)), ["reply", 1, bytes]);
    const base64 = Buffer.from(bytes).toString("base64");
    assert.deepEqual(decode(JSON.stringify(["pub", "a", 4, "x", base64, { b64: true }])), [["pub", "a", 4, "x", bytes, { b64: true }]]);
    assert.deepEqual(decode(JSON.stringify(["reply", 1, base64, { b64: true }])), [["reply", 1, bytes, { b64: true }]]);
  }
});

test("text that looks like base64 stays text", () => {
  const frames = [["pub", "a", 4, "x", "AAAA"], ["pub", "a", 5, "x", "AAAA", { from: "Z" }], ["reply", 1, "AAAA"]];
  for (const frame of frames) assert.deepEqual(decode(JSON.stringify(frame)), [frame]);
});

test("a message that lies about its head throws", () => {
  const frame = ["pub", "a", 4, "x", null];
  for (const claimed of [0, 3, 1_000, 2 ** 32 - 1]) assert.throws(() => fromMessage(message(frame, BYTES, claimed)));
  assert.throws(() => fromMessage(new ArrayBuffer(3)));
});
