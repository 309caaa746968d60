// The last five minutes as columns, the shape uPlot draws: one array of times, and one array per line.

export const SPAN_SECONDS = 300;
const READING_SECONDS = 0.1;
const HOLE_SECONDS = 1.5;

export class History {
  /** How many points have gone out of the window on the left. */
  #gone = 0;

  /** @param width how many values a reading has */
  constructor(width) {
    this.columns = Array.from({ length: width + 1 }, () => []);
  }

  /** When the newest reading was taken, in seconds since 1970; NaN where there is none. */
  get end() {
    return this.columns[0].at(-1) ?? NaN;
  }

  /** Add a reading. Where time is missing before it the lines are interrupted rather than drawn across the hole. */
  add(seconds, values) {
    // A chart cannot draw time that stands still or runs backwards.
    if (seconds <= this.end - HOLE_SECONDS) this.clear();
    else if (seconds <= this.end) seconds = this.end + 0.001;
    if (seconds > this.end + HOLE_SECONDS) this.#append(this.end + 0.1, []);
    this.#append(seconds, values);
    while (this.columns[0][0] < seconds - SPAN_SECONDS) {
      for (const column of this.columns) column.shift();
      this.#gone += 1;
    }
  }

  /** Forget everything, as when the machine's clock was set back. */
  clear() {
    for (const column of this.columns) column.length = 0;
  }

  /**
   * The times and the lines `from` … `from + length - 1`, in at most `points` points: each the mean of as many readings as it
   * takes. Which readings share a point does not change as the window moves on, so that what is drawn does not shimmer.
   */
  folded(from, length, points) {
    const [times] = this.columns;
    const size = Math.max(1, Math.ceil(SPAN_SECONDS / READING_SECONDS / Math.max(1, points)));
    const ends = [];
    for (let i = size - 1 - (this.#gone % size); i < times.length - 1; i += size) ends.push(i);
    if (times.length) ends.push(times.length - 1);
    const lines = this.columns.slice(from + 1, from + 1 + length);
    return [ends.map((i) => times[i]), ...lines.map((line) => means(line, ends))];
  }

  #append(seconds, values) {
    this.columns[0].push(seconds);
    for (let i = 1; i < this.columns.length; i += 1) this.columns[i].push(values[i - 1] ?? null);
  }
}

/** The mean of each stretch of a line that ends at one of `ends`; null where a stretch has a hole. */
function means(line, ends) {
  let i = 0;
  return ends.map((end) => {
    const start = i;
    let sum = 0;
    for (; i <= end; i += 1) sum = line[i] === null ? NaN : sum + line[i];
    return Number.isNaN(sum) ? null : sum / (end + 1 - start);
  });
}
