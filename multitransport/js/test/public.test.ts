// What a page sees: the bundle, by the types that ship with it.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as bundle from "../../static/client.js";
import { CLOSE, RequestError, type Client, type Options, type Position, type Room, type Status } from "../../static/client.js";
import { CLOSE as SOURCE } from "../src/codes";

test("the module exports these names", () => {
  assert.deepEqual(Object.keys(bundle).sort(), ["CLOSE", "RequestError", "connect"]);
  assert.deepEqual(CLOSE, SOURCE);
});

test("an error has a code and is one", () => {
  const error = new RequestError("refused", "no");
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.code, error.message], ["RequestError", "refused", "no"]);
});

interface Readings {
  cpu: { load: number };
  note: string;
}

/** Not run: it is enough that it compiles. */
export async function typed(connect: (options?: Options) => Client): Promise<void> {
  const client = connect({ url: "/realtime/", transports: ["sse"], auth: async () => ({ token: "x" }) });
  const room: Room<Readings> = client.join<Readings>("system/web1", { history: 5 });
  room
    .on("cpu", ({ load }, { position }) => assert.ok(load + (position satisfies Position)[1]))
    .on("note", (text) => text.length)
    .on("*", (data) => (typeof data === "string" ? data : data.load))
    .onGap(({ lost, position }) => (lost ?? 0) + position[1])
    .onLeft((error) => error?.code);
  // @ts-expect-error: there is no such event
  room.on("gpu", () => {});
  client.join("any").on("thing", (data: unknown) => data);
  const listener = (status: Status) => status.retryInMs;
  client.on("status", listener).off("status", listener);
  const sum: number = await client.request<number>("add", [1, 2], { timeoutMs: 1_000 });
  assert.ok(sum);
  await room.joined;
  await room.publish("note", "x");
  // @ts-expect-error: there is no such transport
  client.use(["carrier pigeon"]);
}
