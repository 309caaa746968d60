// Transports that the test plays, under a connection, in time that the test lets pass.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { afterEach, beforeEach, mock } from "node:test";
import type { Options, TransportName } from "../src/api";
import { Connection } from "../src/connection";
import type { ServerFrame, Welcome } from "../src/frames";
import type { Link, Openers } from "../src/transport";
import { pass, releaseTime, stopTime } from "./time";

/** A transport that does what the test says. */
export class Played {
  closed = false;
  /** What it sent is still on its way. */
  busy = false;
  readonly sent: string[] = [];
  poked = 0;
  readonly openedMs = Date.now();

  constructor(
    readonly name: TransportName,
    readonly link: Link,
  ) {}

  hello(): Record<string, unknown> {
    return (JSON.parse(this.link.hello()) as [string, Record<string, unknown>])[1];
  }

  welcome(more: Partial<Welcome> = {}): void {
    const welcome = { session: "S", token: "T", resumed: true, seq: 0, window: 64, ping: 25, grace: 10, max_message: 1 << 20 };
    this.hear(["welcome", { ...welcome, ...more }]);
  }

  hear(...frames: ServerFrame[]): void {
    this.link.heard(frames);
  }

  pong(): void {
    this.hear(["pong", (JSON.parse(this.pings.at(-1) ?? `[0,${Date.now()}]`) as [string, number])[1]]);
  }

  get pings(): string[] {
    return this.sent.filter((line) => line.startsWith('["ping"'));
  }

  /** All is well with it. */
  prove(): void {
    this.hello();
    this.welcome();
    if (this.name !== "poll") this.pong();
  }
}

// What browsers have and Node does not, or not always had.
globalThis.reportError ??= () => {};
globalThis.crypto ??= webcrypto as Crypto;

export let opened: Played[];
export let connection: Connection;
export const page = { onLine: true as boolean };

export function start(options: Options = {}): void {
  const open = (name: TransportName) => (_: string, link: Link) => {
    const played = new Played(name, link);
    opened.push(played);
    return {
      get busy() {
        return played.busy;
      },
      send: (lines: string[]) => void played.sent.push(...lines),
      close: () => {
        played.closed = true;
      },
      ...(name === "poll" && { poke: () => void (played.poked += 1) }),
    };
  };
  const openers: Openers = { websocket: open("websocket"), sse: open("sse"), poll: open("poll") };
  connection = new Connection("http://test/", openers, options, () => {});
}

/** Let time pass while the server pings over all that is well. */
export async function calm(ms: number): Promise<void> {
  for (let left = ms; left >= 0; left -= 5_000) {
    await pass(Math.min(left, 5_000));
    for (const played of opened) if (!played.closed && played.pings.length) played.hear(["ping", 1]);
  }
}

/** Every attempt so far but one fails at once, until the time is over. */
export async function failing(ms: number, spared?: Played): Promise<void> {
  for (let left = ms; left > 0; left -= 10) {
    await pass(10);
    for (const played of opened) if (!played.closed && played !== spared) played.link.ended();
  }
}

export function last(name: TransportName): Played {
  const played = opened.at(-1);
  assert.equal(played?.name, name);
  return played as Played;
}

export const names = () => opened.map(({ name }) => name);
export const alive = () => opened.filter(({ closed }) => !closed).map(({ name }) => name);

/** Have each test of this file begin with nothing opened. */
export function stage(): void {
  beforeEach(() => {
    stopTime();
    mock.method(Math, "random", () => 0.5);
    Object.defineProperty(globalThis, "navigator", { value: page, configurable: true });
    page.onLine = true;
    opened = [];
  });

  afterEach(() => {
    connection.close(null, "the test is over");
    releaseTime();
    mock.restoreAll();
  });
}
