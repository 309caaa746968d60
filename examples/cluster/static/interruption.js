// How long nothing came, as somebody at the page would notice it.

/** A pause as long as this is one, also while the line is up. */
const PAUSE_MS = 1500;

export class Interruption {
  /** The last one, in ms, and when it was over, in ms since 1970; null where there was none. */
  lastMs = null;
  at = null;
  #cameAt = null;
  #broken = false;

  /** The line is broken. */
  broke() {
    this.#broken = true;
  }

  /** Something has come; return how long nothing had where that was an interruption, else null. */
  came(now = Date.now()) {
    const pause = this.#cameAt === null ? 0 : now - this.#cameAt;
    const interrupted = this.#cameAt !== null && (this.#broken || pause >= PAUSE_MS);
    this.#cameAt = now;
    this.#broken = false;
    if (!interrupted) return null;
    this.lastMs = pause;
    this.at = now;
    return pause;
  }

  /** How long nothing has come by now, where that is one already; else null. */
  lasting(now = Date.now()) {
    const pause = this.#cameAt === null ? 0 : now - this.#cameAt;
    return pause >= PAUSE_MS ? pause : null;
  }
}
