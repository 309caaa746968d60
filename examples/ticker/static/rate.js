// How fast a number rises, over the last two seconds.

const WINDOW_MS = 2000;
/** A rate of less is mostly chance. */
const LEAST_MS = 1000;

export class Rate {
  #total = 0;
  #past = [];

  add(n) {
    this.#total += n;
  }

  /** How much a second was added, null in the first second; call it a few times a second. */
  value() {
    return this.of(this.#total);
  }

  /** How fast `total` rises, null in the first second; call it a few times a second. */
  of(total) {
    const now = performance.now();
    this.#past.push([now, total]);
    while (this.#past.length > 2 && this.#past[1][0] <= now - WINDOW_MS) this.#past.shift();
    const [then, before] = this.#past[0];
    return now - then >= LEAST_MS ? Math.round(((total - before) * 1000) / (now - then)) : null;
  }
}
