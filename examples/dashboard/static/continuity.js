// The page does not take anybody's word for it: every reading carries the sampler's own counter, and this looks whether it
// rises by exactly one.

export class Continuity {
  checked = 0;
  /** Readings that never came and of which nobody said so. */
  gaps = 0;
  /** Readings that came again, or late. */
  duplicates = 0;
  /** Readings that never came, and the server said so. */
  knownLost = 0;
  /** How often the server said that it cannot know how many were lost, since its log began anew. */
  unknownLosses = 0;
  /** How often the sampler started anew, with a counter that begins at 1. */
  restarts = 0;

  #run;
  #last = 0;
  #told = false;

  /** The number of the newest reading. */
  get last() {
    return this.#last;
  }

  /** The server said that publications were lost, `lost` of them or null: a hole right after this is no surprise. */
  tell(lost) {
    this.#told = true;
    if (lost === null) this.unknownLosses += 1;
  }

  /** Look at a reading `{r: run, n: number}`; true where it is new and belongs into the charts. */
  accept({ r: run, n }) {
    this.checked += 1;
    if (run !== this.#run) {
      if (this.#run !== undefined) this.restarts += 1;
      this.#run = run;
    } else if (n <= this.#last) {
      this.duplicates += 1;
      return false;
    } else if (this.#told) {
      this.knownLost += n - this.#last - 1;
    } else {
      this.gaps += n - this.#last - 1;
    }
    this.#told = false;
    this.#last = n;
    return true;
  }
}
