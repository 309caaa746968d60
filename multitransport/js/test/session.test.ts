import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Position } from "../src/api";
import { asText, type Line } from "../src/binary";
import { RequestError } from "../src/errors";
import { decode, type ServerFrame, type Welcome } from "../src/frames";
import { Reader, type ReaderOptions, type RoomObserver } from "../src/reader";
import { Session, type Hello } from "../src/session";

const NONCE = "N".repeat(22);
const WELCOME: Welcome = {
  session: "S",
  token: "T",
  resumed: false,
  seq: 0,
  window: 64,
  ping: 25,
  grace: 10,
  max_message: 1 << 20,
};

type Told =
  | string
  | [event: string, data: unknown, offset: number | null, from: string | null]
  | { key: string; data: unknown; offset: number | null }
  | { deleted: string; offset: number | null }
  | { ask: string; event: string; data: unknown }
  | { lost: number | null; position: Position }
  | { left: string | null };

type Step =
  | ["join", room: string, options?: number | ReaderOptions]
  | ["rate", label: string, room: string, maxRate: number | null]
  | ["presence", label: string, room: string, meta: unknown]
  | ["answer", ask: string, data: unknown]
  | ["leave", room: string]
  | ["hello", expected: Record<string, unknown>, wait?: number]
  | ["in", ...frames: ServerFrame[]]
  | ["out", frames: unknown[][]]
  | ["send", label: string, event: string, data: unknown]
  | ["publish", label: string, room: string, event: string, data: unknown]
  | ["settled", outcomes: Record<string, unknown>]
  | ["acked", seq: number]
  | ["room", room: string, expected: { position: Position | null; told: Told[]; state?: Record<string, unknown> }]
  | ["stats", expected: Record<string, number>]
  | ["ahead", wanted: boolean]
  | ["detach"]
  | ["restart", nonce: string];

/** Writes down what a room is told. */
function observer(told: Told[]): RoomObserver {
  return {
    joined: () => told.push("joined"),
    left: (error) => told.push({ left: error?.code ?? null }),
    lost: (lost, position) => told.push({ lost, position }),
    published({ event, data, offset, from, key, deleted }, ask) {
      if (ask !== undefined) told.push({ ask, event, data });
      else if (key === undefined) told.push([event, data, offset, from ?? null]);
      else told.push(deleted ? { deleted: key, offset } : { key, data, offset });
    },
    passed: () => told.push("passed"),
  };
}

const frames = (lines: Line[]) => lines.flatMap((line) => decode(asText(line)));

class Script {
  readonly session = new Session(NONCE, (name) => this.#reader(name));
  readonly told = new Map<string, Told[]>();
  readonly readers = new Map<string, Reader>();
  settled: Record<string, unknown> = {};
  said: Hello | null = null;
  /** Whether the transport of the last frames was to be given up. */
  ahead = false;

  run(step: Step): void {
    const { session } = this;
    switch (step[0]) {
      case "join":
        return session.join(this.#reader(step[1], typeof step[2] === "number" ? { history: step[2] } : step[2]));
      case "rate":
        return this.#rate(step[1], this.#joined(step[2]), step[3]);
      case "presence":
        this.#joined(step[2]).meta = step[3];
        return this.#submit("presence", step[1], step.slice(2));
      case "answer":
        return session.answer(step[1], step[2]);
      case "leave":
        return void session.leave(step[1]);
      case "hello":
        this.said = session.hello(undefined, step[2]);
        return this.#hello(this.said.line, step[1]);
      case "in":
        this.ahead = step.slice(1).some((frame) => this.#receive(frame as ServerFrame));
        return;
      case "out":
        return assert.deepEqual(frames(session.outgoing()), step[1]);
      case "send":
      case "publish":
        return this.#submit(step[0], step[1], step.slice(2));
      case "settled":
        assert.deepEqual(this.settled, step[1]);
        this.settled = {};
        return;
      case "acked":
        return assert.equal(session.acked, step[1]);
      case "room":
        return this.#room(step[1], step[2]);
      case "stats":
        return assert.deepEqual(session.stats, step[1]);
      case "ahead":
        return assert.equal(this.ahead, step[1]);
      case "detach":
        return session.detach();
      case "restart":
        return session.restart(step[1]);
    }
  }

  /** A room that is joined anew is another room to the page. */
  #reader(name: string, options?: ReaderOptions): Reader {
    const told: Told[] = [];
    const reader = new Reader(name, observer(told), options);
    this.told.set(name, told);
    this.readers.set(name, reader);
    return reader;
  }

  #joined(name: string): Reader {
    const reader = this.readers.get(name);
    assert.ok(reader, name);
    return reader;
  }

  #rate(label: string, room: Reader, maxRate: number | null): void {
    room.maxRate = maxRate;
    this.session.rejoin(room, (error) => {
      this.settled[label] = error ? error.code : null;
    });
  }

  #room(name: string, { position, told, state = {} }: { position: Position | null; told: Told[]; state?: Record<string, unknown> }): void {
    const reader = this.#joined(name);
    assert.deepEqual(this.told.get(name), told);
    assert.deepEqual(reader.position, position);
    assert.deepEqual(Object.fromEntries([...reader.state].map(([key, { data }]) => [key, data])), state);
  }

  #receive(frame: ServerFrame): boolean {
    if (frame[0] !== "welcome") return this.session.receive(frame) ?? false;
    this.session.welcome({ ...WELCOME, ...frame[1] }, this.said?.asked ?? new Map());
    return false;
  }

  #hello(line: string, expected: Record<string, unknown>): void {
    const [kind, options] = JSON.parse(line) as [string, Record<string, unknown>];
    assert.equal(kind, "hello");
    assert.equal(options["v"], 1);
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(options[name] ?? null, value, name);
  }

  #submit(kind: "send" | "publish" | "presence", label: string, rest: unknown[]): void {
    this.session.submit(kind, rest, (error, data) => {
      assert.ok(!(label in this.settled), `${label} settles once`);
      this.settled[label] = error ? error.code : (data ?? null);
    });
  }
}

const vectors = JSON.parse(readFileSync("../../tests/vectors/session.json", "utf8")) as { name: string; steps: Step[] }[];

for (const { name, steps } of vectors) {
  test(name, () => {
    const script = new Script();
    steps.forEach((step) => script.run(step));
  });
}

function attached(window = 64, maxMessage = 1 << 20): Session {
  const session = new Session(NONCE);
  const { asked } = session.hello(undefined);
  session.welcome({ ...WELCOME, window, max_message: maxMessage }, asked);
  return session;
}

const outcome = (session: Session, event: string, data?: unknown): Promise<unknown> =>
  new Promise((resolve, reject) => session.submit("send", [event, data], (error, reply) => (error ? reject(error) : resolve(reply))));

const code = (wanted: string) => (error: unknown) => error instanceof RequestError && error.code === wanted;

test("what waits is bounded in number", async () => {
  const session = new Session(NONCE);
  for (let i = 0; i < 1_000; i += 1) session.submit("send", ["x", i], () => {});
  await assert.rejects(outcome(session, "x"), code("queue_full"));
});

test("and in bytes, as UTF-8 has them", async () => {
  const session = new Session(NONCE);
  session.submit("send", ["x", "é".repeat(400_000)], () => {});
  await assert.rejects(outcome(session, "x", "é".repeat(200_000)), code("queue_full"));
  session.submit("send", ["x", "e".repeat(200_000)], (error) => assert.fail(error ?? "nothing answers"));
});

test("a full queue does not keep anybody from leaving", () => {
  const session = attached(1);
  for (let i = 0; i < 1_000; i += 1) session.submit("send", ["x", i], () => {});
  void session.leave("a");
  session.outgoing();
  for (let seq = 1; seq < 1_001; seq += 1) {
    session.receive(["reply", seq, 1]);
    const lines = frames(session.outgoing());
    if (seq === 1_000) assert.deepEqual(lines.at(-1), ["leave", 1_001, "a"]);
  }
});

test("what is larger than a message may be is refused rather than ending the session", async () => {
  const session = attached(64, 100_000);
  await assert.rejects(outcome(session, "x", "x".repeat(99_000)), code("too_large"));
  assert.deepEqual(session.outgoing(), []);
});

test("a frame taken back before it was sent never is", () => {
  const session = attached(1);
  session.submit("send", ["first"], () => {});
  session.submit("send", ["kept"], () => {});
  const takeBack = session.submit("send", ["second"], () => assert.fail("nobody waits any more"));
  session.outgoing();
  takeBack();
  takeBack();
  session.receive(["reply", 1, null]);
  assert.deepEqual(frames(session.outgoing()), [["ack", 1], ["send", 2, "kept"]]);
  session.receive(["reply", 2, null]);
  session.submit("send", ["last"], () => {});
  assert.deepEqual(frames(session.outgoing()), [["ack", 2], ["send", 3, "last"]]);
});

test("a frame taken back after it was sent is only not told", () => {
  const session = attached();
  const takeBack = session.submit("send", ["x"], () => assert.fail("nobody waits any more"));
  session.outgoing();
  takeBack();
  session.receive(["reply", 1, null]);
  assert.equal(session.acked, 1);
});

test("what the client has is acknowledged before the server holds a window of it", () => {
  const session = attached(4);
  for (const event of ["a", "b"]) session.submit("send", [event], () => {});
  session.outgoing();
  session.receive(["reply", 1, null]);
  assert.deepEqual(session.outgoing(), []);
  session.receive(["reply", 2, null]);
  assert.deepEqual(session.outgoing(), ['["ack",2]']);
  assert.deepEqual(session.outgoing(), []);
});

test("the end of the session ends everything that waits for it", async () => {
  const session = attached(1);
  const told: Told[] = [];
  session.join(new Reader("a", observer(told)));
  session.outgoing();
  const unsent = outcome(session, "x");
  session.close(new RequestError("ended", "over"));
  await assert.rejects(unsent, code("ended"));
  await assert.rejects(outcome(session, "x"), code("ended"));
  assert.deepEqual(told, [{ left: "ended" }]);
  session.join(new Reader("b", observer(told)));
  assert.deepEqual(told.at(-1), { left: "ended" });
});

test("a hello names no more rooms than it may; the server says of each further one that it is too many", () => {
  const session = new Session(NONCE);
  const told: Told[] = [];
  for (let i = 0; i < 1_002; i += 1) session.join(new Reader(`room/${i}`, observer(i < 1_000 ? [] : told)));
  const { line, asked } = session.hello(undefined);
  const [, { rooms }] = JSON.parse(line) as [string, { rooms: object }];
  assert.equal(Object.keys(rooms).length, 1_000);
  session.welcome(WELCOME, asked);
  assert.deepEqual(frames(session.outgoing()), [["join", 1, "room/1000", {}], ["join", 2, "room/1001", {}]]);
  session.receive(["error", 1, "too_many_rooms", ""]);
  session.receive(["error", 2, "too_many_rooms", ""]);
  assert.deepEqual(told, [{ left: "too_many_rooms" }, { left: "too_many_rooms" }]);
});

test("a room may have any name", () => {
  const session = new Session(NONCE);
  for (const name of ["__proto__", "constructor", 'quo"te', "ü"]) session.join(new Reader(name, observer([])));
  const [, { rooms }] = JSON.parse(session.hello(undefined).line) as [string, { rooms: Record<string, unknown> }];
  assert.deepEqual(Object.keys(rooms), ["__proto__", "constructor", 'quo"te', "ü"]);
});

test("what comes is counted before it is told", () => {
  const session = attached(64);
  const counted: number[][] = [];
  const count = () => void counted.push(Object.values(session.stats));
  session.join(new Reader("a", { joined() {}, left() {}, lost: count, published: count }));
  session.outgoing();
  session.receive(["joined", 1, "a", ["e", 0], { recovered: true }]);
  session.receive(["pub", "a", 1, "x", 1]);
  session.receive(["gap", "a", ["e", 4], 3]);
  assert.deepEqual(counted, [[1, 0, 0, 0], [1, 0, 1, 3]]);
});

test("a room joined anew hears nothing of its former self", () => {
  const session = attached();
  const told: Told[] = [];
  session.join(new Reader("a", observer([])));
  session.outgoing();
  session.receive(["joined", 1, "a", ["e", 5], { recovered: true }]);
  void session.leave("a");
  session.join(new Reader("a", observer(told)));
  const { asked } = session.hello(undefined);
  session.welcome({ ...WELCOME, resumed: true }, asked);
  // The server has not heard of the leave yet.
  session.receive(["joined", null, "a", ["e", 5], { recovered: true }]);
  session.receive(["pub", "a", 6, "x", "old"]);
  session.receive(["gap", "a", ["e", 8], 2]);
  session.receive(["at", "a", ["e", 9]]);
  session.receive(["left", null, "a", "removed"]);
  assert.deepEqual(told, []);
  assert.deepEqual(frames(session.outgoing()).slice(-2), [["leave", 2, "a"], ["join", 3, "a", {}]]);
  session.receive(["left", 2, "a"]);
  session.receive(["joined", 3, "a", ["e", 12], { recovered: true }]);
  session.receive(["pub", "a", 13, "x", "new"]);
  assert.deepEqual(told, ["joined", ["x", "new", 13, null]]);
});

test("a hello says nothing that cannot be decoded", () => {
  const session = new Session(NONCE);
  assert.deepEqual((JSON.parse(session.hello({ token: "\udfff" }).line) as [string, { auth: object }])[1].auth, { token: "\ufffd" });
});

test("a rate set offline is said after the join that still waits to be sent", () => {
  const session = attached();
  const room = new Reader("a", observer([]), { maxRate: 1 });
  const settled: unknown[] = [];
  session.join(room);
  session.detach();
  room.maxRate = 50;
  session.rejoin(room, (error) => settled.push(error));
  session.welcome({ ...WELCOME, resumed: true }, session.hello(undefined).asked);
  assert.deepEqual(frames(session.outgoing()), [["join", 1, "a", { max_rate: 1 }], ["join", 2, "a", { max_rate: 50 }]]);
  assert.deepEqual(settled, []);
  session.receive(["joined", 2, "a", ["e", 0], { recovered: true }]);
  assert.deepEqual(settled, [null]);
});
