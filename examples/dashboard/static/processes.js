// The table of the busiest processes. Its rows are there from the start, so that nothing moves when a table comes in.
import { bytes, percent } from "/shared/units.js";

export class Processes {
  #rows;

  constructor(body) {
    this.#rows = [...body.rows].map(({ cells: [name, pid, share, memory] }) => {
      const [bar, text] = share.children;
      return { name, pid, bar, text, memory };
    });
  }

  /** Show a table of `[pid, name, percent of one core, MB]`. */
  show(table) {
    this.#rows.forEach((row, i) => {
      const [pid, name, share, memory] = table[i] ?? ["", "–", null, null];
      row.pid.textContent = pid;
      row.name.textContent = name;
      row.name.title = name;
      row.text.textContent = share === null ? "" : percent(share);
      row.bar.style.inlineSize = `${Math.min(100, share ?? 0)}%`;
      row.memory.textContent = memory === null ? "" : bytes(memory * 1e6);
    });
  }
}
