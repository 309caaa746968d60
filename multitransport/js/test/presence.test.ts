import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member, PresenceChange } from "../src/api";
import { Presence } from "../src/presence";

const shown = (user: string | null, meta: unknown = null) => ({ user, transport: "sse", meta });
const ids = ({ entered, changed, left }: PresenceChange) => [entered, changed, left].map((members) => members.map(({ id }) => id).join());
const metas = (member: Member | undefined) => member?.metas.map(({ session, meta }) => `${session} ${meta}`).join();

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
  reader.published(1, "member", shown("ann"), { key: "s1" });
  reader.published(2, "member", shown(null), { key: "s2" });
  assert.deepEqual([told, presence.members.size], [[], 0]);
  reader.moved(["p", 2]);
  reader.published(3, "member", shown("ann", "typing"), { key: "s1" });
  reader.published(4, "member", null, { key: "s2", deleted: true });
  reader.published(5, "member", shown("eve"), { key: "s3" });
  reader.published(6, "member", null, { key: "never seen", deleted: true });
  reader.moved(["p", 6]);
  assert.deepEqual(told, [["user:ann,session:s2", "", ""], ["user:eve", "user:ann", "session:s2"]]);
  assert.deepEqual([...presence.members.keys()], ["user:ann", "user:eve"]);
  assert.deepEqual(presence.members.get("user:ann"), {
    id: "user:ann",
    user: "ann",
    metas: [{ session: "s1", transport: "sse", meta: "typing" }],
  });
});

test("a user comes with the first session and leaves with the last; what changed last is last", () => {
  const { presence, told, follow } = room();
  const reader = follow(0);
  const ann = () => metas(presence.members.get("user:ann"));
  reader.published(1, "member", shown("ann", 1), { key: "s1" });
  reader.moved(["p", 1]);
  reader.published(2, "member", shown("ann", 1), { key: "s2" });
  reader.moved(["p", 2]);
  assert.equal(ann(), "s1 1,s2 1");
  reader.published(3, "member", shown("ann", 2), { key: "s1" });
  reader.moved(["p", 3]);
  assert.equal(ann(), "s2 1,s1 2");
  reader.published(4, "member", null, { key: "s2", deleted: true });
  reader.moved(["p", 4]);
  assert.equal(ann(), "s1 2");
  reader.published(5, "member", null, { key: "s1", deleted: true });
  reader.published(6, "member", shown("ann", 3), { key: "s3" });
  reader.moved(["p", 6]);
  reader.published(7, "member", null, { key: "s3", deleted: true });
  reader.moved(["p", 7]);
  const changed = ["", "user:ann", ""];
  assert.deepEqual(told, [["user:ann", "", ""], changed, changed, changed, changed, ["", "", "user:ann"]]);
});

test("one that comes and goes within a pass is not told, nor one that stays as it was", () => {
  const { told, follow } = room();
  const reader = follow(0);
  reader.published(1, "member", shown("ann"), { key: "s1" });
  reader.moved(["p", 1]);
  reader.published(2, "member", shown("bob"), { key: "s2" });
  reader.published(3, "member", null, { key: "s2", deleted: true });
  reader.published(4, "member", shown("ann"), { key: "s1" });
  reader.moved(["p", 4]);
  assert.deepEqual(told, [["user:ann", "", ""]]);
});

for (const how of ["a gap", "not recovered", "another reader"] as const) {
  test(`nobody leaves to come back after ${how}`, () => {
    const { presence, told, follow } = room();
    let reader = follow(0);
    for (const [i, user] of ["ann", "ann", "bob", "bob"].entries()) reader.published(i + 1, "member", shown(user), { key: `s${i}` });
    reader.moved(["p", 4]);
    if (how === "a gap") reader.moved(["p", 0], { lost: null });
    else if (how === "not recovered") reader.joined(["q", 0], { mode: "state", recovered: false, lost: null }, ["p", 4]);
    else reader = follow(0);
    assert.deepEqual([...presence.members.keys()], ["user:ann", "user:bob"]);
    for (const i of [0, 1]) reader.published(i + 1, "member", shown("ann"), { key: `s${i}` });
    reader.moved([reader.position?.[0] ?? "", 9]);
    assert.deepEqual(told, [["user:ann,user:bob", "", ""], ["", "", "user:bob"]]);
  });
}
