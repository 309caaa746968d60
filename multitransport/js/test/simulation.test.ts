// The session against a small model of the server, over transports that lose, delay and overlap.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../src/api";
import { asText } from "../src/binary";
import type { JoinedOptions, ServerFrame, Welcome } from "../src/frames";
import { Reader } from "../src/reader";
import { Session, type Hello } from "../src/session";

const WINDOW = 8;
const KEPT = 12;

interface HelloOptions {
  new: string;
  attach: number;
  token?: string;
  acked: number;
  rooms: Record<string, { position?: Position }>;
}

/** A room's log that keeps the latest publications only. */
class Log {
  epoch = "e0";
  top = 0;

  get base(): number {
    return Math.max(0, this.top - KEPT);
  }

  recover(position: Position | undefined): [at: number, options: JoinedOptions] {
    if (!position) return [this.top, { recovered: true }];
    if (position[0] !== this.epoch || position[1] > this.top) return [this.base, { recovered: false, lost: null }];
    if (position[1] < this.base) return [this.base, { recovered: false, lost: this.base - position[1] }];
    return [position[1], { recovered: true }];
  }
}

/** A state room, whose ended keys are forgotten some time. */
class Keys {
  epoch = "k0";
  top = 0;
  base = 0;
  readonly current = new Map<string, { offset: number; value: number | null }>();

  put(key: string, value: number | null): void {
    this.current.set(key, { offset: (this.top += 1), value });
  }

  forgetEnds(): void {
    for (const [key, { offset, value }] of this.current) {
      if (value !== null) continue;
      this.current.delete(key);
      this.base = Math.max(this.base, offset);
    }
  }

  startOver(epoch: string): void {
    this.epoch = epoch;
    this.top = this.base = 0;
    this.current.clear();
  }

  recover(position: Position | undefined): [at: number, options: JoinedOptions] {
    const [epoch, offset] = position ?? [this.epoch, 0];
    const known = epoch === this.epoch && offset <= this.top && (offset === 0 || offset >= this.base);
    return known ? [offset, { mode: "state", recovered: true }] : [0, { mode: "state", recovered: false, lost: null }];
  }

  /** Return the keys changed after the offset, the oldest change first. */
  after(offset: number): string[] {
    const changed = [...this.current].filter(([, each]) => each.offset > offset);
    return changed.sort(([, a], [, b]) => a.offset - b.offset).map(([key]) => key);
  }
}

/** What carries the session: frames on their way in both directions. */
interface Wire {
  up: string[];
  down: ServerFrame[];
  attach: number;
  asked: Hello["asked"];
  cursor: Map<string, number>;
  /** What is left of the pass through the state room. */
  pass: { keys: string[]; top: number } | null;
}

const newWire = (more: Partial<Wire> = {}): Wire => ({ up: [], down: [], attach: 0, asked: new Map(), cursor: new Map(), pass: null, ...more });

/** Keeps one session as protocol.md says. */
class Server {
  readonly logs = new Map(["a", "b"].map((name) => [name, new Log()]));
  readonly keys = new Keys();
  readonly ran: unknown[] = [];
  current: Wire | null = null;
  #id = 0;
  #attach = 0;
  #claimed = 0;
  #processed = 0;
  /** What is claimed and still to be run. */
  #jobs = new Map<number, unknown[]>();
  #joined = new Map<string, Position>();
  #outcomes = new Map<number, ServerFrame>();

  get id(): string {
    return `S${this.#id}`;
  }

  take(wire: Wire, line: string): void {
    const frame = JSON.parse(line) as [string, ...unknown[]];
    if (frame[0] === "hello") return this.#hello(wire, frame[1] as HelloOptions);
    if (wire !== this.current) return;
    if (frame[0] === "ack") return this.#acknowledge(frame[1] as number);
    const seq = frame[1] as number;
    if (seq > this.#processed && seq <= this.#claimed) {
      this.#jobs.set(seq, frame);
      return;
    }
    if (seq <= this.#processed) {
      const kept = this.#outcomes.get(seq);
      if (kept) wire.down.push(kept);
      wire.down.push(["ack", this.#processed]);
      return;
    }
    assert.equal(seq, this.#claimed + 1, "a seq jumps");
    this.#claimed = seq;
    this.#acknowledge(seq - WINDOW);
    this.#jobs.set(seq, frame);
  }

  /** Run the next frame, where it is here. */
  work(): boolean {
    const seq = this.#processed + 1;
    const frame = this.#jobs.get(seq);
    if (!frame) return false;
    this.#jobs.delete(seq);
    this.#processed = seq;
    this.#run(this.current ?? newWire(), seq, frame);
    assert.ok(this.#outcomes.size <= WINDOW);
    return true;
  }

  /** The node is gone with what it had claimed; another one has the record. */
  die(): void {
    this.current = null;
    this.#jobs.clear();
  }

  /** The session's record is gone, as after a restart. */
  forget(): void {
    this.#id += 1;
    this.current = null;
    this.#attach = this.#claimed = this.#processed = 0;
    this.#jobs.clear();
    this.#joined.clear();
    this.#outcomes.clear();
  }

  flush(): void {
    const wire = this.current;
    if (wire?.cursor.has("s")) this.#pass(wire);
    for (const [name, at] of wire?.cursor ?? []) {
      const log = this.logs.get(name);
      if (!log) continue;
      let from = at;
      if (from < log.base) {
        wire?.down.push(["gap", name, [log.epoch, log.base], log.base - from]);
        from = log.base;
      }
      for (let offset = from + 1; offset <= log.top; offset += 1) wire?.down.push(["pub", name, offset, "x", `${log.epoch} ${offset}`]);
      wire?.cursor.set(name, log.top);
    }
  }

  /** Send some of the keys that changed, with what they are now; the last part moves the position. */
  #pass(wire: Wire): void {
    const { epoch, base, top, current } = this.keys;
    const at = wire.cursor.get("s") as number;
    if (at !== 0 && at < base) {
      wire.down.push(["gap", "s", [epoch, 0], null]);
      wire.cursor.set("s", 0);
      wire.pass = null;
    } else if (at < top) {
      wire.pass ??= { keys: this.keys.after(at), top };
      for (const key of wire.pass.keys.splice(0, 2)) {
        const { offset, value } = current.get(key) ?? {};
        if (offset !== undefined) wire.down.push(["pub", "s", offset, "x", value, { key, deleted: value === null }]);
      }
      if (wire.pass.keys.length) return;
      wire.down.push(["at", "s", [epoch, wire.pass.top]]);
      wire.cursor.set("s", wire.pass.top);
      wire.pass = null;
    }
  }

  #acknowledge(through: number): void {
    for (const seq of this.#outcomes.keys()) if (seq <= through) this.#outcomes.delete(seq);
  }

  #hello(wire: Wire, { attach, token, acked, rooms }: HelloOptions): void {
    const known = token === `T${this.#id}` || (token === undefined && this.#attach > 0);
    if (!known) this.forget();
    if (attach <= this.#attach) return;
    this.#attach = attach;
    this.current = wire;
    this.#acknowledge(acked);
    const welcome: Welcome = {
      session: this.id,
      token: `T${this.#id}`,
      resumed: known,
      seq: this.#processed + this.#jobs.size < this.#claimed ? this.#processed : this.#claimed,
      window: WINDOW,
      ping: 25,
      grace: 10,
      max_message: 1 << 20,
    };
    wire.down.push(["welcome", welcome], ...[...this.#outcomes].sort(([a], [b]) => a - b).map(([, frame]) => frame), ["ack", this.#processed]);
    for (const name of new Set([...this.#joined.keys(), ...Object.keys(rooms)])) {
      this.#enter(wire, null, name, rooms[name]?.position ?? this.#joined.get(name));
    }
  }

  #run(wire: Wire, seq: number, [kind, , ...rest]: unknown[]): void {
    let outcome: ServerFrame | null = null;
    if (kind === "join") outcome = this.#enter(wire, seq, rest[0] as string, (rest[1] as { position?: Position }).position);
    else if (kind === "leave") {
      this.#joined.delete(rest[0] as string);
      wire.cursor.delete(rest[0] as string);
      outcome = ["left", seq, rest[0] as string];
    } else {
      this.ran.push(rest[1]);
      if (rest[0] === "ask") outcome = ["reply", seq, rest[1]];
    }
    if (outcome) this.#outcomes.set(seq, outcome);
    if (outcome && kind !== "join") wire.down.push(outcome);
    wire.down.push(["ack", seq]);
  }

  #enter(wire: Wire, seq: number | null, name: string, position: Position | undefined): ServerFrame {
    const log = this.logs.get(name) ?? this.keys;
    const [at, options] = log.recover(position);
    const frame: ServerFrame = ["joined", seq, name, [log.epoch, at], options];
    if (!this.#joined.has(name)) this.#joined.set(name, [log.epoch, at]);
    wire.cursor.set(name, at);
    if (name === "s") wire.pass = null;
    wire.down.push(frame);
    return frame;
  }
}

/** mulberry32: the same numbers for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

class World {
  readonly server = new Server();
  readonly session = new Session("N".repeat(22));
  readonly seen = new Map<string, string[]>();
  /** What a page that listens makes of the state room. */
  readonly told = new Map<string, unknown>();
  readonly state = new Reader("s", {
    joined: () => {},
    left: (error) => assert.fail(`left: ${error?.code ?? ""}`),
    lost: () => this.told.clear(),
    published: ({ key = "", data, deleted }) => void (deleted ? this.told.delete(key) : this.told.set(key, data)),
  });
  readonly answers = new Map<number, string>();
  readonly wires: Wire[] = [];
  current: Wire | null = null;
  asked = 0;
  forgotten = 0;

  constructor(
    readonly random: (below: number) => number,
    readonly polls: boolean,
  ) {
    for (const name of ["a", "b"]) this.join(name);
    this.session.join(this.state);
  }

  join(name: string): void {
    const seen: string[] = [];
    this.seen.set(name, seen);
    const room = new Reader(name, {
      joined: () => {},
      left: (error) => assert.fail(`left: ${error?.code ?? ""}`),
      lost: (count, [epoch, offset]) => seen.push(`lost ${count ?? "?"} ${epoch} ${offset}`),
      published: ({ data }) => seen.push(data as string),
    });
    this.session.join(room);
  }

  attach(): void {
    const { line, attach, asked } = this.session.hello(undefined);
    this.wires.push(newWire({ up: [line], attach, asked }));
  }

  /** What carries the session goes on as another poll does: what is sent beside it may arrive before it is answered. */
  poll(answered: boolean): void {
    const { current } = this;
    if (!current || this.wires.length > 1) return;
    while (answered && current === this.current && current.down.length) this.down();
    if (current !== this.current) return;
    this.wires.length = 0;
    this.attach();
    [this.current = null] = this.wires;
    this.current?.up.push(...current.up.filter((line) => !line.startsWith('["hello"')));
  }

  die(): void {
    const wire = this.server.current;
    this.server.die();
    if (this.polls && wire === this.current && this.wires.length === 1) this.poll(false);
    else if (wire && this.wires.includes(wire)) this.drop(wire);
  }

  send(): void {
    this.current?.up.push(...this.session.outgoing(this.current.attach).map(asText));
  }

  cut(): void {
    const at = this.random(this.wires.length);
    this.drop(this.wires[at]);
  }

  drop(wire: Wire | undefined): void {
    if (!wire) return;
    this.wires.splice(this.wires.indexOf(wire), 1);
    if (wire === this.current) this.current = null;
    if (wire === this.server.current && this.random(2)) this.server.current = null;
    if (!this.wires.length) this.session.detach();
  }

  ask(): void {
    const number = (this.asked += 1);
    this.session.submit("send", [this.random(2) ? "ask" : "tell", number], (error, reply) => {
      assert.ok(!this.answers.has(number), "settled twice");
      this.answers.set(number, error ? error.code : reply === undefined ? "ack" : String(reply));
    });
  }

  up(): void {
    const wire = this.wires[this.random(this.wires.length)];
    const [line] = wire?.up ?? [];
    if (!wire || !line) return;
    if (this.polls && !line.startsWith('["hello"')) {
      // What is refused for its attach is posted again, and for its session never.
      if (wire !== this.server.current) return;
      if (this.server.id !== this.session.id) return this.drop(wire);
    }
    wire.up.shift();
    this.server.take(wire, line);
  }

  down(): void {
    const wire = this.wires[this.random(this.wires.length)];
    const frame = wire?.down.shift();
    if (!wire || !frame) return;
    if (frame[0] === "welcome") {
      const again = this.polls && wire === this.current;
      const another = this.session.welcome(frame[1], wire.asked, wire.attach);
      if (again && another) return this.drop(wire);
      this.current = wire;
      for (const other of [...this.wires]) if (other !== wire && other.attach < wire.attach) this.drop(other);
    } else if (wire === this.current && this.session.receive(frame)) this.drop(wire);
    this.send();
  }

  step(): void {
    const what = this.random(100);
    const log = this.server.logs.get(this.random(2) ? "a" : "b") as Log;
    if (what < 30) this.up();
    else if (what < 65) this.down();
    else if (what < 72) log.top += 1;
    else if (what < 77) this.server.keys.put(`k${this.random(6)}`, this.random(3) ? this.random(1000) : null);
    else if (what < 78) this.server.keys.forgetEnds();
    else if (what < 84) this.server.flush();
    else if (what < 92) this.ask();
    else if (what < 96) this.cut();
    else if (this.wires.length < 2) this.attach();
    if (this.random(2)) this.server.work();
    if (this.polls && this.random(10) === 0) this.poll(this.random(4) > 0);
    if (this.random(60) === 0) this.die();
    if (this.random(3) === 0) this.send();
  }

  /** No more faults: everything on its way arrives. */
  settle(): void {
    if (this.polls && this.current && this.wires.length === 1) this.poll(true);
    else while (this.wires.length) this.cut();
    for (let quiet = 0; quiet < 3; quiet += 1) {
      if (!this.wires.length) this.attach();
      if (this.wires.some(({ up, down }) => up.length || down.length)) quiet = 0;
      while (this.wires[0]?.up.length || this.server.work()) this.up();
      for (let i = 0; i < 10; i += 1) this.server.flush();
      while (this.wires[0]?.down.length) this.down();
    }
  }
}

/** Every publication once and in order, or said to be lost. */
function checkSeen(seen: string[], log: Log, world: string): void {
  let last: [epoch: string, offset: number] | null = null;
  for (const entry of seen) {
    if (entry.startsWith("lost")) {
      const [, , epoch = "", offset] = entry.split(" ");
      last = [epoch, Number(offset)];
      continue;
    }
    const [epoch = "", offset] = entry.split(" ");
    if (last) assert.deepEqual([epoch, Number(offset)], [last[0], last[1] + 1], `${world}: ${seen.join(", ")}`);
    last = [epoch, Number(offset)];
  }
  if (last) assert.deepEqual(last, [log.epoch, log.top], `${world}: it is up to date at the end`);
}

/** What there is, is what one has, and what one was told. */
function checkState({ server, state, told }: World, world: string): void {
  const current = [...server.keys.current].filter(([, { value }]) => value !== null).map(([key, { value }]) => [key, value]);
  const sorted = (pairs: unknown[][]) => pairs.sort(([a], [b]) => String(a).localeCompare(String(b)));
  assert.deepEqual(sorted([...state.state].map(([key, { data }]) => [key, data])), sorted(current), world);
  assert.deepEqual(sorted([...told]), sorted(current), world);
  assert.deepEqual(state.position, [server.keys.epoch, server.keys.top], world);
}

for (const { what, forgetful = false, polls = false } of [
  { what: "" },
  { what: ", by a server that forgets", forgetful: true },
  { what: ", over polls", polls: true },
  { what: ", over polls, by a server that forgets", forgetful: true, polls: true },
]) {
  test(`whatever is cut, nothing is lost in silence, told twice or run twice${what}`, () => {
    for (let seed = 0; seed < 400; seed += 1) {
      const world = new World(numbers(seed), polls);
      for (let i = 0; i < 400; i += 1) {
        world.step();
        if (forgetful && world.random(150) === 0) {
          world.server.forget();
          for (const log of world.server.logs.values()) [log.epoch, log.top] = [`e${(world.forgotten += 1)}`, 0];
          if (world.random(2)) world.server.keys.startOver(`k${world.forgotten}`);
        }
      }
      world.settle();
      const { server, answers, asked } = world;
      for (const [name, seen] of world.seen) checkSeen(seen, server.logs.get(name) as Log, `seed ${seed}`);
      checkState(world, `seed ${seed}`);
      assert.deepEqual(server.ran, [...new Set(server.ran)], `seed ${seed}: run twice`);
      assert.deepEqual(server.ran, [...server.ran].sort((a, b) => Number(a) - Number(b)), `seed ${seed}: out of order`);
      assert.equal(answers.size, asked, `seed ${seed}: everything is answered`);
      for (const [number, answer] of answers) {
        if (answer === "outcome_unknown") assert.ok(forgetful);
        else assert.ok(server.ran.includes(number) && (answer === "ack" || answer === String(number)), `seed ${seed}: ${answer}`);
      }
    }
  });
}
