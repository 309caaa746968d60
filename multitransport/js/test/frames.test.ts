import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSE } from "../src/codes";
import { decode, isFinal, messages } from "../src/frames";

test("a message is its lines", () => {
  assert.deepEqual(decode('["ack",1]\n\n  \n["ping",2]\n'), [
    ["ack", 1],
    ["ping", 2],
  ]);
  assert.deepEqual(decode(""), []);
});

test("what is no message throws", () => {
  for (const message of ["<html>", "{}", "1", "null", '"ack"', '["ack",1']) assert.throws(() => decode(message));
});

test("codes are final by their range", () => {
  const final = (code: number) => isFinal(code);
  assert.deepEqual([2_999, 3_000, 3_499, 4_000, 4_499, 1_000, 1_006, 0].filter(final), []);
  assert.deepEqual([3_500, 3_999, 4_500, 4_999].filter(final), [3_500, 3_999, 4_500, 4_999]);
  assert.ok(!isFinal(CLOSE.going_away) && isFinal(CLOSE.refused));
});

test("lines are joined up to the limit, in order, and a long one goes alone", () => {
  assert.deepEqual(messages([]), []);
  assert.deepEqual(messages(["a", "b", "c"]), ["a\nb\nc"]);
  assert.deepEqual(messages(["aa", "bb", "cccccccc", "d"], 5), ["aa\nbb", "cccccccc", "d"]);
});
