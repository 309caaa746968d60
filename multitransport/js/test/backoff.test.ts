import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff";

test("waits are drawn from the whole span below a ceiling that doubles up to the cap", () => {
  const ceilings = (random: number) => {
    const backoff = new Backoff(() => random);
    return Array.from({ length: 8 }, () => backoff.next());
  };
  assert.deepEqual(ceilings(1), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  assert.deepEqual(ceilings(0.5), [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  assert.deepEqual(ceilings(0), Array(8).fill(0));
});

test("clients at the cap do not come back together", () => {
  const waits = Array.from({ length: 1_000 }, () => {
    const backoff = new Backoff();
    backoff.attempts = 30;
    return backoff.next();
  });
  for (let second = 0; second < 20; second += 1) {
    const count = waits.filter((wait) => Math.floor(wait / 1_000) === second).length;
    assert.ok(count > 15 && count < 110, `${count} of 1000 come back in second ${second}`);
  }
});

test("a reset makes the next wait short", () => {
  const backoff = new Backoff(() => 1);
  for (let i = 0; i < 10; i += 1) backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 500);
  assert.equal(backoff.attempts, 1);
});

test("any 500 ms see two attempts at most, however hard one tries", () => {
  const backoff = new Backoff();
  const admitted: number[] = [];
  for (let now = 0; now < 20_000; now += 7) {
    const wait = backoff.admit(now);
    if (wait === 0) admitted.push(now);
    else assert.equal(backoff.admit(now), wait, "asking again changes nothing");
  }
  for (const [i, at] of admitted.entries()) {
    const third = admitted[i + 2];
    if (third !== undefined) assert.ok(third - at >= 500);
  }
  assert.ok(admitted.length >= 70, "and it lets through what it may");
});

test("a refused attempt is told exactly how long to wait", () => {
  const backoff = new Backoff();
  assert.deepEqual([backoff.admit(1_000), backoff.admit(1_100), backoff.admit(1_200)], [0, 0, 300]);
  assert.equal(backoff.admit(1_500), 0);
  assert.equal(backoff.admit(1_501), 99);
});
