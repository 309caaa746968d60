// What was observed of the transports, and what follows from it: which next, and when.
import type { TransportName } from "./api";
import { Backoff } from "./backoff";
import { choose, hedge, upgrade, type Facts, type Outcome, type Trial } from "./fallback";
import { Memory } from "./memory";

const MOST_TRIALS = 50;

export class Chooser {
  readonly backoff = new Backoff();
  readonly #memory: Memory;
  #trials: readonly Trial[] = [];
  #remembered: TransportName | null;
  /** The server asked not to come back earlier. */
  notBeforeMs = 0;

  constructor(
    base: string,
    public allowed: readonly TransportName[],
  ) {
    this.#memory = new Memory(base);
    this.#remembered = this.#memory.load(Date.now());
  }

  /** Return what to try next and how long to wait before; null where the server allows nothing. `hurry`: do not wait but where the server asked for it. */
  next(hurry: boolean): { transport: TransportName; waitMs: number } | null {
    const choice = choose(this.#facts);
    if (!choice) return null;
    const wait = hurry || choice.atOnce ? 0 : this.backoff.next();
    return { transport: choice.transport, waitMs: Math.max(wait, this.notBeforeMs - Date.now()) };
  }

  hedge(slow: TransportName): TransportName | null {
    return navigator.onLine === false ? null : hedge(this.#facts, slow);
  }

  upgrade(current: TransportName, currentSinceMs: number): { transport: TransportName; atMs: number } | null {
    return upgrade(this.#facts, current, currentSinceMs);
  }

  /** Note how an attempt came out. Nothing is held against a transport while there is no network. */
  note(transport: TransportName, outcome: Outcome | undefined, beside: boolean): void {
    if (outcome === "good") this.backoff.reset();
    if (!outcome || navigator.onLine === false) return;
    this.#trials = [...this.#trials.slice(1 - MOST_TRIALS), { transport, outcome, atMs: Date.now(), beside }];
  }

  /** It works now: begin with it on the next page as well. */
  remember(transport: TransportName): void {
    this.#memory.save(transport, Date.now());
  }

  holdOff(seconds: number): void {
    this.notBeforeMs = Date.now() + seconds * 1_000;
  }

  /** What was learned may not hold any more, but for what the server does not allow, unless that `too`. */
  forget(too: boolean): void {
    this.#trials = too ? [] : this.#trials.filter(({ outcome }) => outcome === "refused");
    this.#remembered = null;
  }

  get #facts(): Facts {
    return { allowed: this.allowed, trials: this.#trials, remembered: this.#remembered };
  }
}
