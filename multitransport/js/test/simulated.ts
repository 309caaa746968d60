// A small model of the server, and what lies between it and a session.
import assert from "node:assert/strict";
import type { Position } from "../src/api";
import type { JoinedOptions, ServerFrame, Welcome } from "../src/frames";
import type { Hello } from "../src/session";

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
export class Log {
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
export interface Wire {
  up: string[];
  down: ServerFrame[];
  attach: number;
  asked: Hello["asked"];
  cursor: Map<string, number>;
  /** What is left of the pass through the state room. */
  pass: { keys: string[]; top: number } | null;
}

export const newWire = (more: Partial<Wire> = {}): Wire => ({ up: [], down: [], attach: 0, asked: new Map(), cursor: new Map(), pass: null, ...more });

/** Keeps one session as protocol.md says. */
export class Server {
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
