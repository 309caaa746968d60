// A tile for each share: its colour says how far the price has moved, and it lights up when it changes.

const SHARES = 1000;
const GLOW_MS = 500;
const FULL_PERCENT = 12;

export class Tiles {
  #canvas;
  #columns;
  #percents = new Float32Array(SHARES).fill(NaN);
  #changedAt = new Float64Array(SHARES).fill(-Infinity);
  #colours;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#columns = Number(canvas.dataset.columns);
    this.recolour();
    const rows = SHARES / this.#columns;
    new ResizeObserver(() => {
      // Whole pixels of the screen for each tile, or their edges would blur.
      const tile = Math.floor((canvas.clientWidth * devicePixelRatio) / this.#columns);
      canvas.width = tile * this.#columns;
      canvas.height = tile * rows;
    }).observe(canvas);
  }

  /** A share's price has moved so far. Their names count from AAA to JJJ. */
  set(name, percent) {
    const index = [...name].reduce((sum, letter) => sum * 10 + letter.charCodeAt(0) - 65, 0);
    this.#percents[index] = percent;
    this.#changedAt[index] = performance.now();
  }

  draw() {
    const context = this.#canvas.getContext("2d");
    const size = this.#canvas.width / this.#columns;
    const gap = size > 14 ? 2 : 1;
    const now = performance.now();
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (let i = 0; i < SHARES; i += 1) {
      const percent = this.#percents[i];
      if (Number.isNaN(percent)) continue;
      const glow = Math.max(0, 1 - (now - this.#changedAt[i]) / GLOW_MS);
      context.fillStyle = percent < 0 ? this.#colours.down : this.#colours.up;
      context.globalAlpha = Math.min(1, 0.12 + 0.7 * Math.min(1, Math.abs(percent) / FULL_PERCENT) + 0.3 * glow);
      context.fillRect((i % this.#columns) * size, Math.floor(i / this.#columns) * size, size - gap, size - gap);
    }
    context.globalAlpha = 1;
  }

  /** Take the colours from the style sheet, which knows the theme. */
  recolour() {
    const colour = (name) => {
      this.#canvas.style.color = `var(${name})`;
      return getComputedStyle(this.#canvas).color;
    };
    this.#colours = { up: colour("--up"), down: colour("--down") };
  }
}
