// One card with one chart: its lines, its legend with the newest values (or those under the cursor), its colours.
import uPlot from "./vendor/uplot/uPlot.esm.js";
import { SPAN_SECONDS } from "./history.js";
import { clock } from "/shared/units.js";

const POINTS = 12_000;
const sync = uPlot.sync("dashboard");

/** The smallest of 1, 2 and 5 times a power of ten that is not below n. */
function roundUp(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((step) => step * power).find((limit) => limit >= n * 0.999);
}

export class Chart {
  #card;
  #history;
  #lines;
  #shown = [[]];
  #plot;
  #legend;
  #now;
  #colours = {};
  #visible = true;
  #hovered = null;
  #options;

  /**
   * @param card the section it lives in, with a legend entry for each line
   * @param history where the readings are
   * @param lines [first, how many]: which of a reading's values it draws
   * @param options {format, axis: format of the scale, top: fixed upper end, or else least: the smallest upper end, fill, headline}
   */
  constructor(card, history, lines, options) {
    this.#card = card;
    this.#history = history;
    this.#lines = lines;
    this.#options = options;
    this.#now = card.querySelector(".now");
    this.#legend = [...card.querySelectorAll(".legend b")];
    const place = card.querySelector(".plot");
    this.recolour();
    this.#plot = new uPlot(this.#uplotOptions(place), [[], ...this.#legend.map(() => [])], place);
    new ResizeObserver(() => this.#plot.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
    const scrolled = { rootMargin: "300px" };
    new IntersectionObserver(([entry]) => {
      this.#visible = entry.isIntersecting;
      this.draw();
    }, scrolled).observe(card);
  }

  /** Draw what the columns hold now; nothing where the card is scrolled out of sight. */
  draw() {
    if (!this.#visible) return;
    // More than a point for each pixel would cost a lot and show nothing, and so would sixty lines in every detail.
    this.#shown = this.#history.folded(...this.#lines, Math.min(this.#plot.width, POINTS / this.#legend.length));
    this.#plot.setData(this.#shown);
  }

  /** Write the newest values, unless the visitor is looking at others. */
  write() {
    const [first, length] = this.#lines;
    const newest = this.#history.columns.slice(first + 1, first + 1 + length).map((line) => line.at(-1));
    const values = this.#hovered === null ? newest : this.#shown.slice(1).map((line) => line[this.#hovered]);
    if (values.some((value) => value == null)) return;
    values.forEach((value, line) => {
      this.#legend[line].textContent = this.#options.format(value);
    });
    const [time, headline] = this.#now.children;
    time.textContent = this.#hovered === null ? "" : clock(this.#shown[0][this.#hovered] * 1000);
    headline.textContent = this.#options.headline(values);
  }

  /** Take the colours from the style sheet, which knows the theme. */
  recolour() {
    const style = getComputedStyle(this.#card.querySelector(".plot"));
    this.#colours = {
      text: style.color,
      grid: style.borderTopColor,
      lines: this.#legend.map((value) => getComputedStyle(value.parentElement.firstElementChild).color),
    };
    this.#plot?.redraw(false);
  }

  #uplotOptions(place) {
    const { axis, top, least, fill } = this.#options;
    const text = () => this.#colours.text;
    const grid = { stroke: () => this.#colours.grid, width: 1 };
    const font = `11px ${getComputedStyle(place).fontFamily}`;
    const end = () => this.#shown[0].at(-1) ?? SPAN_SECONDS;
    return {
      width: place.clientWidth,
      height: place.clientHeight,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: sync.key, setSeries: false }, points: { size: 6 } },
      scales: {
        x: { time: false, range: () => [end() - SPAN_SECONDS, end()] },
        y: { range: (_, __, max) => [0, top ?? roundUp(Math.max(max ?? 0, least))] },
      },
      axes: [
        {
          stroke: text,
          grid,
          font,
          size: 24,
          gap: 6,
          ticks: { show: false },
          // Marks that stand still while the lines move under them are easier on the eye than marks that travel.
          splits: (_, __, min, max) => Array.from({ length: 6 }, (___, i) => min + ((max - min) * i) / 5),
          values: () => ["−5 min", "−4", "−3", "−2", "−1", "now"],
        },
        { stroke: text, grid, font, size: 54, gap: 8, space: 34, ticks: { show: false }, values: (_, ticks) => ticks.map(axis) },
      ],
      series: [
        {},
        ...this.#legend.map((_, i) => ({
          stroke: () => this.#colours.lines[i],
          fill: fill ? () => this.#colours.lines[i].replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)") : undefined,
          width: 1.4,
          points: { show: false },
        })),
      ],
      hooks: {
        setCursor: [
          (plot) => {
            this.#hovered = plot.cursor.idx ?? null;
            this.write();
          },
        ],
      },
    };
  }
}
