// The page does not take anybody's word for it: each node counts its ticks, and this looks whether each count rises by one.

export class Ticks {
  received = 0;
  /** Ticks that never came and of which nobody said so. */
  gaps = 0;
  /** Ticks that came again, or late, though the log is still the same. */
  duplicates = 0;
  /** Ticks that never came, and the server said so. */
  knownLost = 0;
  /** How often the server said that it cannot know how many were lost, since the log began anew. */
  restarts = 0;

  /** By node: its run, the last number, and whether it is no surprise where the next one is not the one after. */
  #nodes = new Map();

  /** The server said that publications were lost, `lost` of them or null. */
  tell(lost) {
    if (lost === null) this.restarts += 1;
    for (const node of this.#nodes.values()) node.told = true;
  }

  /** Look at a tick `{node, run, n}`. A node that was started anew has another run, which begins with 1. */
  accept({ node: name, run, n }) {
    this.received += 1;
    const node = this.#nodes.get(name);
    if (node === undefined) {
      this.#nodes.set(name, { run, last: n, told: false });
      return;
    }
    if (node.run !== run) {
      node.run = run;
      node.last = 0;
    }
    const missing = n - node.last - 1;
    if (node.told) this.knownLost += Math.max(missing, 0);
    else if (missing < 0) this.duplicates += 1;
    else this.gaps += missing;
    if (missing < 0) return;
    node.last = n;
    node.told = false;
  }
}
