// Keeps a session carried: which transport, when to try again, and how to tell that one is dead.
import type { Options, Status, TransportName } from "./api";
import { Attempt, type AttemptOwner } from "./attempt";
import { Backoff } from "./backoff";
import { CLOSE } from "./codes";
import { RequestError } from "./errors";
import { choose, hedge, upgrade, type Facts, type Outcome, type Trial } from "./fallback";
import { isFinal, type CloseOptions, type ServerFrame, type Welcome } from "./frames";
import { farewell } from "./http";
import { Memory } from "./memory";
import { HOLD_SECONDS } from "./poll";
import type { Reader } from "./reader";
import { Session, type Hello } from "./session";
import { follow, INITIAL, type StatusChange } from "./status";
import type { Openers } from "./transport";

/** A transport that has not brought a welcome by then is slow: the next one is tried beside it. */
const SLOW_MS = 2_500;
const GIVE_UP_MS = 10_000;
/** How long an answer to a ping may take where the line is fast. */
const PROOF_MS = 3_000;
/** A transport that lasted this long after its proof was good. */
const STABLE_MS = 10_000;
/** A timer this late had to wait for the page's own work. */
const BUSY_MS = 250;
/** A timer this late was asleep with its page. */
const ASLEEP_MS = 2_000;
const MOST_TRIALS = 50;

/** 128 random bits in the letters that `new` may have. */
const nonce = (): string => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Connection implements AttemptOwner {
  readonly session: Session;
  status = INITIAL;
  readonly #attempts = new Set<Attempt>();
  readonly #backoff = new Backoff();
  readonly #memory: Memory;
  #current: Attempt | null = null;
  #allowed: readonly TransportName[];
  #trials: Trial[] = [];
  #remembered: TransportName | null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #upgradeTimer: ReturnType<typeof setTimeout> | undefined;
  #notBeforeMs = 0;
  #suspended = false;
  #pumping = false;
  #welcomes = 0;
  #auth: unknown;

  constructor(
    readonly base: string,
    readonly openers: Openers,
    readonly options: Options,
    readonly changed: (status: Status) => void,
    entered: (room: string) => Reader | null,
  ) {
    this.session = new Session(nonce(), entered);
    this.#allowed = options.transports ?? ["websocket", "sse", "poll"];
    this.#memory = new Memory(base);
    this.#remembered = this.#memory.load(Date.now());
    this.wake();
  }

  /** Try now rather than when the wait is over, unless the server asked for that wait; see whether what carries the session is alive. */
  wake(): void {
    this.#suspended = false;
    if (this.#current) this.probe();
    else if (!this.#attempts.size) this.#reconnect(0);
  }

  probe(): void {
    const current = this.#current;
    if (!current || current.probing) return;
    current.probing = true;
    current.within(PROOF_MS, () => this.#end(current));
    current.ping();
  }

  ping(): void {
    this.#current?.ping();
  }

  /** The network is another one: what was learned about transports may not hold there. */
  networkChanged(): void {
    this.#trials = this.#trials.filter(({ outcome }) => outcome === "refused");
    this.#remembered = null;
    this.wake();
  }

  use(transports: readonly TransportName[]): void {
    this.#allowed = transports;
    this.#trials = [];
    this.#remembered = null;
    const [best] = transports;
    for (const attempt of this.#attempts) if (attempt !== this.#current) this.#end(attempt);
    if (!this.#current) this.wake();
    else if (best && best !== this.#current.name) this.#open(best);
    this.#planUpgrade();
  }

  /** Drop what carries the session, as a broken line would. */
  cut(): void {
    if (this.#current) this.#end(this.#current);
  }

  /** The page sleeps in a cache and may come back: let go of the line, keep the session. */
  suspend(): void {
    this.#suspended = true;
    for (const attempt of this.#attempts) this.#end(attempt);
    this.#tell({ state: "offline", transport: null });
  }

  /** Tell the server that the session is over, if that is still possible. */
  bye(): void {
    const current = this.#current;
    if (current?.name === "websocket") current.transport?.send(['["bye"]']);
    else if (current) farewell(`${this.base}send`, `${current.sendHello()}\n["bye"]`);
  }

  close(code: number | null, reason: string, error = new RequestError("closed", reason)): void {
    if (this.status.state === "closed") return;
    this.#tell({ state: "closed", transport: null, retryInMs: null, code, reason });
    for (const attempt of this.#attempts) attempt.stop();
    this.#attempts.clear();
    this.#current = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#upgradeTimer);
    this.session.close(error);
  }

  /** Have what the session wants to send sent, once for all that is wanted in this turn. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      const transport = this.#current?.transport;
      const lines = transport ? this.session.outgoing() : [];
      if (lines.length) transport?.send(lines);
    });
  }

  get #facts(): Facts {
    return { allowed: this.#allowed, trials: this.#trials, remembered: this.#remembered };
  }

  #tell(change: StatusChange): void {
    this.status = follow(this.status, { attempt: this.#backoff.attempts, ...change }, Date.now());
    this.changed(this.status);
  }

  #reconnect(waitMs?: number): void {
    if (this.#suspended || this.status.state === "closed") return;
    const choice = choose(this.#facts);
    if (!choice) return this.close(CLOSE.transport_not_allowed, "the server allows none of the transports");
    const now = Date.now();
    const wait = Math.max(waitMs ?? (choice.atOnce ? 0 : this.#backoff.next()), this.#notBeforeMs - now);
    clearTimeout(this.#timer);
    const state = wait > 0 ? "offline" : "connecting";
    this.#tell({ state, transport: null, retryInMs: wait > 0 ? Math.round(wait) : null });
    this.#timer = setTimeout(() => this.#open(choice.transport), wait);
  }

  #open(name: TransportName, slow: Attempt | null = null): void {
    const wait = this.#backoff.admit(Date.now());
    if (wait) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#open(name, slow), wait);
      return;
    }
    const attempt = new Attempt(name, slow, this);
    this.#attempts.add(attempt);
    if (!this.#current) this.#tell({ state: "connecting", retryInMs: null });
    this.#awaitWelcome(attempt);
    void this.#start(attempt);
  }

  async #start(attempt: Attempt): Promise<void> {
    try {
      const { auth } = this.options;
      this.#auth = await (typeof auth === "function" ? (auth as () => unknown)() : auth);
    } catch (error) {
      reportError(error);
      return this.#end(attempt);
    }
    if (!attempt.ending) attempt.transport = this.openers[attempt.name](this.base, attempt);
  }

  hello(attempt: Attempt, wait?: number): Hello {
    const current = this.#current;
    if (current?.name === "poll" && attempt !== current) {
      // The next poll's hello would take the session back from the transport that is about to get it.
      current.stop();
      attempt.within(PROOF_MS, () => this.#end(attempt, "failed"));
    }
    return this.session.hello(this.#auth, wait);
  }

  sendHello({ attach }: Attempt): string {
    return this.session.sendHello(attach);
  }

  #awaitWelcome(attempt: Attempt): void {
    attempt.within(SLOW_MS, (late) => {
      // A busy page: the answer may be in the queue behind this.
      if (late > BUSY_MS) return this.#awaitWelcome(attempt);
      this.#hedge(attempt);
      attempt.within(GIVE_UP_MS - SLOW_MS, () => this.#end(attempt, "failed"));
    });
  }

  #hedge(slow: Attempt): void {
    const other = this.#attempts.size === 1 && navigator.onLine !== false ? hedge(this.#facts, slow.name) : null;
    if (other) this.#open(other, slow);
  }

  heard(attempt: Attempt, frames: ServerFrame[]): void {
    attempt.heardMs = Date.now();
    if (attempt.probing) this.#carry(attempt);
    for (const frame of frames) {
      if (attempt.ending) return;
      if (frame[0] === "welcome") this.#welcome(attempt, frame[1]);
      else if (frame[0] === "close") this.#closed(attempt, frame[1], frame[2], frame[3]);
      else if (frame[0] === "ping") {
        this.session.control(["pong", frame[1]]);
        attempt.ping();
      } else if (frame[0] === "pong") this.#answered(attempt, frame[1]);
      else this.session.receive(frame);
    }
    this.pump();
  }

  #welcome(attempt: Attempt, welcome: Welcome): void {
    const again = attempt === this.#current;
    const another = this.session.welcome(welcome, attempt.said?.asked ?? new Map(), again);
    // What waits to be sent on this transport belongs to a session that is no more.
    if (again && another) return this.#end(attempt);
    if (!again) this.#attached(attempt);
    if (attempt.name === "poll") this.#answered(attempt, attempt.pingedMs || (again ? 0 : attempt.startedMs));
  }

  #attached(attempt: Attempt): void {
    attempt.welcomedMs = Date.now();
    this.#current = attempt;
    this.#settleOn(attempt, (other) => other.attach > attempt.attach);
    this.#tell({
      state: "live",
      catchingUp: this.status.state !== "live" && this.#welcomes > 0,
      transport: attempt.name,
      session: this.session.id,
      retryInMs: null,
      code: null,
      reason: "",
      reconnects: this.#welcomes++,
    });
    const deadline = Math.max(PROOF_MS, 2 * (attempt.welcomedMs - attempt.startedMs));
    attempt.within(deadline, () => this.#end(attempt, attempt.name === "sse" ? "buffered" : "died"));
    if (attempt.name !== "poll") attempt.ping();
  }

  /** Let go of the other attempts, but for those that may still turn out to be the better. */
  #settleOn(attempt: Attempt, may: (other: Attempt) => boolean): void {
    const rank = this.#allowed.indexOf(attempt.name);
    for (const other of this.#attempts) {
      // One that has not said hello yet will say a later one when it is up.
      const better = !other.attach && this.#allowed.indexOf(other.name) < rank;
      if (other !== attempt && !better && !may(other)) this.#end(other);
    }
  }

  /** A ping was answered, or a poll, which is the same; 0 where it was held and says nothing about the time. */
  #answered(attempt: Attempt, sinceMs: number): void {
    const now = Date.now();
    attempt.pingedMs = 0;
    // It came behind what was missed.
    if (sinceMs || this.status.catchingUp) this.#tell({ catchingUp: false, ...(sinceMs && { roundTripMs: now - sinceMs }) });
    if (attempt.provenMs) return;
    attempt.provenMs = now;
    this.#memory.save(attempt.name, now);
    const slow = attempt.beside;
    // A stream that is held back ends, and comes out, when the server hears of the next transport: that is no late welcome.
    if (slow?.attach) this.#record(slow.name, slow.name === "sse" ? "buffered" : "failed", now, false);
    this.#settleOn(attempt, () => false);
    this.#carry(attempt);
    this.#planUpgrade();
  }

  /** All is well: look again when nothing was heard for too long. */
  #carry(attempt: Attempt): void {
    attempt.probing = false;
    const idle = ((attempt.name === "poll" ? HOLD_SECONDS : this.session.ping) + this.session.grace) * 1_000;
    const quiet = Date.now() - attempt.heardMs;
    attempt.within(idle - quiet, (late) => {
      if (Date.now() - attempt.heardMs < idle) this.#carry(attempt);
      else if (late > ASLEEP_MS) this.probe();
      else this.#end(attempt);
    });
  }

  #planUpgrade(): void {
    clearTimeout(this.#upgradeTimer);
    const current = this.#current;
    const plan = current?.provenMs ? upgrade(this.#facts, current.name, current.provenMs) : null;
    if (!plan) return;
    this.#upgradeTimer = setTimeout(() => {
      if (current === this.#current && this.#attempts.size === 1) this.#open(plan.transport);
    }, plan.atMs - Date.now());
  }

  ended(attempt: Attempt, code = 0, reason = ""): void {
    if (attempt.ending) return;
    if (code >= 3000) return this.#closed(attempt, code, reason);
    const opened = attempt.welcomedMs || (attempt.name === "websocket" && attempt.attach);
    this.#end(attempt, opened ? "died" : "failed");
  }

  #closed(attempt: Attempt, code: number, reason: string, options: CloseOptions = {}): void {
    const newest = attempt.attach === this.session.attach;
    if (code === CLOSE.superseded || code === CLOSE.stale_attach) {
      if (code === CLOSE.superseded && newest) this.session.restart(nonce());
      return this.#end(attempt);
    }
    if (isFinal(code)) return this.close(code, reason, new RequestError(options.code ?? "closed", reason));
    if (options.retry_after !== undefined) this.#notBeforeMs = Date.now() + options.retry_after * 1_000;
    if (!this.#current || attempt === this.#current) this.status = { ...this.status, code, reason };
    this.#end(attempt, code === CLOSE.transport_not_allowed ? "refused" : undefined);
  }

  /** Let go of an attempt; without an outcome its end says nothing about the transport. */
  #end(attempt: Attempt, outcome?: Outcome): void {
    if (!this.#attempts.delete(attempt)) return;
    attempt.stop();
    const now = Date.now();
    const lasted = attempt.provenMs && now - attempt.provenMs >= STABLE_MS;
    if (lasted) this.#backoff.reset();
    this.#record(attempt.name, lasted ? "good" : outcome, now, attempt !== this.#current && !!this.#current?.provenMs);
    if (attempt === this.#current) this.#current = null;
    const [left] = this.#attempts;
    if (!left) {
      this.session.detach();
      this.#reconnect();
    } else if (!this.#current) this.#awaitWelcome(left);
    else if (this.#current.ending || !this.#allowed.includes(this.#current.name)) this.#end(this.#current);
    else this.#planUpgrade();
  }

  #record(transport: TransportName, outcome: Outcome | undefined, atMs: number, beside: boolean): void {
    if (!outcome || navigator.onLine === false) return;
    this.#trials = [...this.#trials.slice(1 - MOST_TRIALS), { transport, outcome, atMs, beside }];
  }
}
