// How fast a number rises, over the last two seconds.

const WINDOW_MS = 2000;

export class Rate {
  #total = 0;
  #past = [];

  add(n) {
    this.#total += n;
  }

  /** How much a second was added; call it a few times a second. */
  value() {
    return this.of(this.#total);
  }

  /** How fast `total` rises; call it a few times a second. */
  of(total) {
    const now = performance.now();
    this.#past.push([now, total]);
    while (this.#past.length > 2 && this.#past[1][0] <= now - WINDOW_MS) this.#past.shift();
    const [then, before] = this.#past[0];
    return now > then ? Math.round(((total - before) * 1000) / (now - then)) : 0;
  }
}
