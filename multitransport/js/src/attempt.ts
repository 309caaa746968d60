// One attempt to carry the session, from its beginning to its end, with the deadline of the moment.
import type { TransportName } from "./api";
import type { Outcome } from "./fallback";
import type { ServerFrame } from "./frames";
import { HOLD_SECONDS } from "./poll";
import type { Hello, Session } from "./session";
import type { Link, Opener, Transport } from "./transport";

/** How long the page may take to say what auth is. */
const AUTH_MS = 30_000;
/** A transport that has not brought a welcome by then is slow: the next one is tried beside it. */
const SLOW_MS = 2_500;
const GIVE_UP_MS = 10_000;
/** How long an answer to a ping may take where the line is fast. */
export const PROOF_MS = 3_000;
/** A transport that lasted this long after its proof was good. */
const STABLE_MS = 10_000;
/** A timer this late had to wait for the page's own work. */
const BUSY_MS = 250;
/** A timer this late was asleep with its page. */
const ASLEEP_MS = 2_000;

/** What an attempt tells whoever made it. */
export interface AttemptOwner {
  readonly session: Session;
  hello(attempt: Attempt, wait?: number): Hello;
  slow(attempt: Attempt): void;
  heard(attempt: Attempt, frames: ServerFrame[]): void;
  /** Make it answer. */
  ping(): void;
  /** Without an outcome its end says nothing about the transport. */
  end(attempt: Attempt, outcome?: Outcome): void;
  closed(attempt: Attempt, code: number, reason: string): void;
}

export class Attempt implements Link {
  transport: Transport | null = null;
  /** Its last hello. */
  said: Hello | null = null;
  /** A ping of its own was answered. */
  provenMs = 0;
  /** When the poll was begun that was asked to be answered at once; 0 where none was. */
  pokedMs = 0;
  ending = false;
  /** Its node is about to stop: another one should carry the session before that. */
  leaving = false;
  #beganMs = 0;
  #welcomed = false;
  #heardMs = 0;
  #probing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly name: TransportName,
    /** The slow one it was begun beside. */
    readonly beside: Attempt | null,
    readonly owner: AttemptOwner,
  ) {
    this.#within(AUTH_MS, () => owner.end(this));
  }

  get attach(): number {
    return this.said?.attach ?? 0;
  }

  /** Whether it was good for something. */
  get lasted(): boolean {
    return this.provenMs > 0 && Date.now() - this.provenMs >= STABLE_MS;
  }

  hello(wait?: number): string {
    this.said = this.owner.hello(this, wait);
    return this.said.line;
  }

  sendHello(): string {
    return this.owner.session.sendHello(this.attach);
  }

  heard(frames: ServerFrame[]): void {
    this.#heardMs = Date.now();
    if (this.#probing) this.#watch();
    this.owner.heard(this, frames);
  }

  ended(code = 0, reason = ""): void {
    if (this.ending) return;
    if (code >= 3000) this.owner.closed(this, code, reason);
    else this.owner.end(this, this.#welcomed || (this.name === "websocket" && this.attach) ? "died" : "failed");
  }

  /** What auth wants is there: the transport begins. */
  begin(base: string, open: Opener): void {
    this.#beganMs = this.pokedMs = Date.now();
    this.awaitWelcome();
    this.transport = open(base, this);
  }

  awaitWelcome(): void {
    this.#within(SLOW_MS, (lateMs) => {
      // A busy page: the answer may be in the queue behind this.
      if (lateMs > BUSY_MS) return this.awaitWelcome();
      this.giveUpIn(GIVE_UP_MS - SLOW_MS);
      this.owner.slow(this);
    });
  }

  giveUpIn(ms: number): void {
    this.#within(ms, () => this.owner.end(this, "failed"));
  }

  /** It carries the session now, and has to prove itself. */
  welcomed(): void {
    this.#welcomed = true;
    const limit = Math.max(PROOF_MS, 2 * (Date.now() - this.#beganMs));
    this.#within(limit, () => this.owner.end(this, this.name === "sse" ? "buffered" : "died"));
  }

  proven(): void {
    this.provenMs = Date.now();
    this.#watch();
  }

  /** See whether it is alive. One that is not proven has been asked already. */
  probe(): void {
    if (!this.provenMs || this.#probing) return;
    this.#probing = true;
    this.#within(PROOF_MS, () => this.owner.end(this));
    this.owner.ping();
  }

  stop(): void {
    this.ending = true;
    clearTimeout(this.#timer);
    this.transport?.close();
  }

  /** All is well: look again when nothing was heard for too long. */
  #watch(): void {
    this.#probing = false;
    const { ping, grace } = this.owner.session;
    const idle = ((this.name === "poll" ? HOLD_SECONDS : ping) + grace) * 1_000;
    this.#within(this.#heardMs + idle - Date.now(), (lateMs) => {
      if (Date.now() - this.#heardMs < idle) this.#watch();
      else if (lateMs > ASLEEP_MS) this.probe();
      else this.owner.end(this);
    });
  }

  /** Call `then` after a while, in place of what was to be called before, with how late it is. */
  #within(ms: number, then: (lateMs: number) => void): void {
    clearTimeout(this.#timer);
    const dueMs = Date.now() + ms;
    this.#timer = setTimeout(() => then(Date.now() - dueMs), ms);
  }
}
