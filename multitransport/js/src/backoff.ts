const BASE_MS = 500;
const CAP_MS = 20_000;

/** How long to wait between attempts to connect. */
export class Backoff {
  /** Attempts waited for since the last reset. */
  attempts = 0;
  #recent: number[] = [];

  constructor(readonly random: () => number = Math.random) {}

  /**
   * Return the wait before the next attempt. It is drawn from the whole span below a ceiling that doubles up to the cap, so that clients
   * that lost their server together do not come back together, not even after hours.
   */
  next(): number {
    return this.random() * Math.min(CAP_MS, BASE_MS * 2 ** this.attempts++);
  }

  /** A connection has lasted: the next wait is short again. */
  reset(): void {
    this.attempts = 0;
  }

  /** Return 0 and count an attempt made now, or how long it must wait so that any 500 ms see two at most. */
  admit(nowMs: number): number {
    const [first] = this.#recent;
    const wait = this.#recent.length < 2 || first === undefined ? 0 : first + BASE_MS - nowMs;
    if (wait > 0) return wait;
    this.#recent = [...this.#recent.slice(-1), nowMs];
    return 0;
  }
}
