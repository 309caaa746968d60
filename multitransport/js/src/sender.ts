import { asText, type Line } from "./binary";
import { CLOSE } from "./codes";
import { messages, type ServerFrame } from "./frames";
import { exchange } from "./http";
import type { Link } from "./transport";

const LIMIT_MS = 10_000;
const RETRY_MS = 200;
const TRIES = 4;

/** Carries frames upstream beside an event stream or polls: one POST at a time, in order. */
export class Sender {
  busy = false;

  constructor(
    readonly url: string,
    readonly link: Link,
    readonly signal: AbortSignal,
  ) {}

  send(lines: Line[]): void {
    this.busy = true;
    void this.#run(messages(lines.map(asText))).catch(() => this.link.ended());
  }

  async #run(batches: string[]): Promise<void> {
    for (let tries = 0; batches[0] && !this.signal.aborted; ) {
      const frames = await this.#post(batches[0]);
      if (frames) {
        batches.shift();
        tries = 0;
        // Where it is the last, what waits is sent in a turn of its own, after this one.
        this.link.heard(frames);
      } else if (++tries === TRIES) return this.link.ended();
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries * (1 + Math.random())));
    }
    this.busy = false;
  }

  /** Return the answer of a server that has taken the frames. What it has taken already it does not take twice. */
  async #post(batch: string): Promise<ServerFrame[] | null> {
    try {
      const frames = await exchange(this.url, `${this.link.sendHello()}\n${batch}`, this.signal, LIMIT_MS);
      // A poll that took the place of the one this belongs to: the next try belongs to the new one, and to its node.
      const passing: unknown[] = [CLOSE.stale_attach, CLOSE.unavailable];
      const refused = frames.some(([kind, code]) => kind === "close" && passing.includes(code));
      return refused || this.signal.aborted ? null : frames;
    } catch {
      return null;
    }
  }
}
