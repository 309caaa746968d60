import { asText, type Line } from "./binary";
import { CLOSE } from "./codes";
import { messages } from "./frames";
import { exchange } from "./http";
import type { Link } from "./transport";

const LIMIT_MS = 10_000;
const RETRY_MS = 200;
const TRIES = 4;

/** Carries frames upstream beside an event stream or polls: one POST at a time, in order, each with all that gathered meanwhile. */
export class Sender {
  #lines: string[] = [];
  #busy = false;

  constructor(
    readonly url: string,
    readonly link: Link,
    readonly signal: AbortSignal,
  ) {}

  push(lines: Line[]): void {
    this.#lines.push(...lines.map(asText));
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    for (let tries = 0; this.#lines.length && !this.signal.aborted; ) {
      const [batch = ""] = messages(this.#lines);
      const count = batch.split("\n").length;
      if (await this.#post(batch)) {
        this.#lines.splice(0, count);
        tries = 0;
      } else if (++tries === TRIES) return this.link.ended();
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries * (1 + Math.random())));
    }
    this.#busy = false;
  }

  /** Return whether the server has taken the frames. What it has taken already it does not take twice. */
  async #post(batch: string): Promise<boolean> {
    try {
      const frames = await exchange(this.url, `${this.link.sendHello()}\n${batch}`, this.signal, LIMIT_MS);
      // A poll that took the place of the one this belongs to: the next try belongs to the new one, and to its node.
      const passing: unknown[] = [CLOSE.stale_attach, CLOSE.unavailable];
      if (frames.some(([kind, code]) => kind === "close" && passing.includes(code))) return false;
      if (!this.signal.aborted) this.link.heard(frames);
      return true;
    } catch {
      return false;
    }
  }
}
