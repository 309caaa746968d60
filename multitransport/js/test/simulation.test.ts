// The session against a small model of the server, over transports that lose, delay and overlap.
import assert from "node:assert/strict";
import { test } from "node:test";
import { asText } from "../src/binary";
import { Reader } from "../src/reader";
import { Session } from "../src/session";
import { Log, Server, newWire, type Wire } from "./simulated";

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
