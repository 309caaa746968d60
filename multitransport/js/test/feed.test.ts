import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestError } from "../src/errors";
import { Feed } from "../src/feed";

test("a loop takes what came before it looked and what comes while it waits", async () => {
  const feed = new Feed<number>(() => {});
  feed.push(1);
  feed.push(2);
  const first = [await feed.next(), await feed.next()];
  const waiting = [feed.next(), feed.next()];
  feed.push(3);
  feed.end(null);
  feed.push(4);
  assert.deepEqual(first.concat(await Promise.all(waiting)), [
    { value: 1, done: false },
    { value: 2, done: false },
    { value: 3, done: false },
    { value: undefined, done: true },
  ]);
});

test("what is kept is taken before the error that ends it, which is told once", async () => {
  const feed = new Feed<number>(() => {});
  feed.push(1);
  feed.end(new RequestError("removed", "by the server"));
  feed.end(null);
  assert.equal((await feed.next()).value, 1);
  await assert.rejects(feed.next(), { code: "removed" });
  assert.deepEqual(await feed.next(), { value: undefined, done: true });
});

test("a loop that falls too far behind gets what is kept and then an error", async () => {
  let stopped = 0;
  const feed = new Feed<number>(() => (stopped += 1));
  for (let i = 0; i < 1_001; i += 1) feed.push(i);
  const taken: number[] = [];
  await assert.rejects(async () => {
    for await (const value of feed) taken.push(value);
  }, { code: "queue_full" });
  assert.deepEqual([taken.length, taken.at(-1), stopped], [1_000, 999, 1]);
});

test("a loop that is left hears nothing any more", async () => {
  let stopped = 0;
  const feed = new Feed<number>(() => (stopped += 1));
  feed.push(1);
  feed.push(2);
  for await (const value of feed) {
    assert.equal(value, 1);
    break;
  }
  assert.equal(stopped, 1);
  assert.deepEqual(await feed.next(), { value: undefined, done: true });
});
