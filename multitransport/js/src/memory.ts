import type { TransportName } from "./api";

const TTL_MS = 1_800_000;

/** Remembers for half an hour, across pages, what worked. Without storage it remembers nothing. */
export class Memory {
  readonly #key: string;

  constructor(base: string) {
    this.#key = `multitransport ${base}`;
  }

  load(nowMs: number): TransportName | null {
    try {
      const [name, untilMs] = JSON.parse(localStorage.getItem(this.#key) ?? "") as [TransportName, number];
      return nowMs < untilMs ? name : null;
    } catch {
      return null;
    }
  }

  save(name: TransportName, nowMs: number): void {
    try {
      localStorage.setItem(this.#key, JSON.stringify([name, nowMs + TTL_MS]));
    } catch {
      // Storage is closed to this page.
    }
  }
}
