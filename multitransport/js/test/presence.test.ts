import assert from "node:assert/strict";
import { test } from "node:test";
import type { PresenceChange } from "../src/api";
import { Presence } from "../src/presence";

const member = (user: string, meta: unknown = null) => ({ user, metas: [{ session: `${user}1`, transport: "sse", meta }] });
const ids = ({ entered, changed, left }: PresenceChange) => [entered, changed, left].map((members) => members.map(({ id }) => id).join());

/** Who is in a room, written as it is told: `["entered", "changed", "left"]`. */
function room() {
  const told: string[][] = [];
  const presence = new Presence((change) => told.push(ids(change)));
  const follow = (at: number) => {
    const reader = presence.follow("@presence/a");
    reader.joined(["p", at], { mode: "state", recovered: true }, null);
    return reader;
  };
  return { presence, told, follow };
}

test("members are told pass by pass", () => {
  const { presence, told, follow } = room();
  const reader = follow(0);
  reader.published(1, "member", member("ann"), { key: "ann" });
  reader.published(2, "member", member("bob"), { key: "bob" });
  assert.deepEqual([told, presence.members.size], [[], 0]);
  reader.moved(["p", 2]);
  reader.published(3, "member", member("ann", "typing"), { key: "ann" });
  reader.published(4, "member", null, { key: "bob", deleted: true });
  reader.published(5, "member", member("eve"), { key: "eve" });
  reader.published(6, "member", null, { key: "never seen", deleted: true });
  reader.moved(["p", 6]);
  assert.deepEqual(told, [["ann,bob", "", ""], ["eve", "ann", "bob"]]);
  assert.deepEqual([...presence.members.keys()], ["ann", "eve"]);
  assert.deepEqual(presence.members.get("ann"), { id: "ann", ...member("ann", "typing") });
});

test("one that comes and goes within a pass is not told, nor one that stays as it was", () => {
  const { told, follow } = room();
  const reader = follow(0);
  reader.published(1, "member", member("ann"), { key: "ann" });
  reader.moved(["p", 1]);
  reader.published(2, "member", member("bob"), { key: "bob" });
  reader.published(3, "member", null, { key: "bob", deleted: true });
  reader.published(4, "member", member("ann"), { key: "ann" });
  reader.moved(["p", 4]);
  assert.deepEqual(told, [["ann", "", ""]]);
});

for (const how of ["a gap", "not recovered", "another reader"] as const) {
  test(`nobody leaves to come back after ${how}`, () => {
    const { presence, told, follow } = room();
    let reader = follow(0);
    for (const [i, user] of ["ann", "bob"].entries()) reader.published(i + 1, "member", member(user), { key: user });
    reader.moved(["p", 2]);
    if (how === "a gap") reader.moved(["p", 0], { lost: null });
    else if (how === "not recovered") reader.joined(["q", 0], { mode: "state", recovered: false, lost: null }, ["p", 2]);
    else reader = follow(0);
    assert.deepEqual([...presence.members.keys()], ["ann", "bob"]);
    reader.published(1, "member", member("ann"), { key: "ann" });
    reader.moved([reader.position?.[0] ?? "", 9]);
    assert.deepEqual(told, [["ann,bob", "", ""], ["", "", "bob"]]);
  });
}
