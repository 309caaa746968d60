// Keeps a session carried: begins attempts, settles on one, and begins again.
import type { Options, Status, TransportName } from "./api";
import { Attempt, PROOF_MS, type AttemptOwner } from "./attempt";
import { asText } from "./binary";
import { Chooser } from "./chooser";
import { CLOSE } from "./codes";
import { RequestError } from "./errors";
import type { Outcome } from "./fallback";
import { isFinal, type CloseOptions, type ServerFrame, type Welcome } from "./frames";
import { farewell } from "./http";
import { json } from "./json";
import type { Reader } from "./reader";
import { Session, type Hello } from "./session";
import { follow, INITIAL, type StatusChange } from "./status";
import type { Openers } from "./transport";

/** 128 random bits in the letters that `new` may have. */
const nonce = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Connection implements AttemptOwner {
  readonly session: Session;
  /** Aborts when the session is over for good. */
  readonly over = new AbortController();
  status = INITIAL;
  readonly #chooser: Chooser;
  readonly #attempts = new Set<Attempt>();
  #current: Attempt | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #upgradeTimer: ReturnType<typeof setTimeout> | undefined;
  #auth: unknown;
  #suspended = false;
  #pumping = false;
  #welcomes = 0;

  constructor(
    readonly base: string,
    readonly openers: Openers,
    readonly options: Options,
    readonly changed: (status: Status) => void,
    entered?: (room: string) => Reader | null,
  ) {
    this.session = new Session(nonce(), entered);
    this.#chooser = new Chooser(base, this.#known(options.transports ?? ["websocket", "sse", "poll"]));
    this.wake();
  }

  /** Try now rather than when the wait is over, unless the server asked for that wait; see whether what carries the session is alive. */
  wake(): void {
    this.#suspended = false;
    if (this.#current) this.probe();
    else if (!this.#attempts.size) this.#reconnect(true);
  }

  probe(): void {
    this.#current?.probe();
  }

  /** Measure the round trip, or find out that there is none. */
  ping(): void {
    const current = this.#current;
    if (!current?.transport?.poke) this.session.control(["ping", Date.now()]);
    else {
      current.pokedMs = Date.now();
      current.transport.poke();
    }
    this.pump();
  }

  /** The network is another one: what was learned about transports may not hold there. */
  networkChanged(): void {
    this.#chooser.forget(false);
    this.#planUpgrade();
    this.wake();
  }

  use(transports: readonly TransportName[]): void {
    this.#chooser.allowed = this.#known(transports);
    this.#chooser.forget(true);
    const [best] = transports;
    for (const attempt of this.#attempts) if (attempt !== this.#current) this.end(attempt);
    if (!this.#current) this.wake();
    else if (best && best !== this.#current.name) this.#open(best);
    this.#planUpgrade();
  }

  /** Drop what carries the session, as a broken line would. */
  cut(): void {
    if (this.#current) this.end(this.#current);
  }

  /** The page sleeps in a cache and may come back: let go of the line, keep the session. */
  suspend(): void {
    this.#suspended = true;
    clearTimeout(this.#timer);
    for (const attempt of this.#attempts) this.end(attempt);
    this.#tell({ state: "offline", transport: null, retryInMs: null });
  }

  /** Send what there is to send and that the session is over, if that is still possible. */
  bye(): void {
    const current = this.#current;
    if (!current) return;
    // A request that is under way dies with the page: what it carried goes once more, or the server would miss a seq.
    const before = current.name === "websocket" ? [] : this.session.unanswered();
    const lines = [...before, ...this.session.outgoing(current.attach), '["bye"]'];
    if (current.name === "websocket") current.transport?.send(lines);
    else farewell(`${this.base}send`, [current.sendHello(), ...lines.map(asText)].join("\n"));
  }

  close(code: number | null, reason: string, error = new RequestError("closed", reason)): void {
    if (this.over.signal.aborted) return;
    this.over.abort();
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
      const current = this.#current;
      if (!current?.transport || current.transport.busy) return;
      const lines = this.session.outgoing(current.attach);
      if (lines.length) current.transport.send(lines);
    });
  }

  hello(attempt: Attempt, wait?: number): Hello {
    const current = this.#current;
    if (current?.name === "poll" && attempt !== current) {
      // The next poll's hello would take the session back from the transport that is about to get it.
      current.stop();
      attempt.giveUpIn(PROOF_MS);
    }
    return this.session.hello(this.#auth, wait);
  }

  slow(attempt: Attempt): void {
    const other = this.#attempts.size === 1 ? this.#chooser.hedge(attempt.name) : null;
    if (other) this.#open(other, attempt);
  }

  heard(attempt: Attempt, frames: ServerFrame[]): void {
    for (const frame of frames) {
      if (attempt.ending) return;
      if (frame[0] === "welcome") this.#welcome(attempt, frame[1]);
      else if (frame[0] === "close") this.closed(attempt, frame[1], frame[2], frame[3]);
      else if (frame[0] === "ping") {
        this.session.control(["pong", frame[1]]);
        this.ping();
      } else if (frame[0] === "pong") this.#answered(attempt, frame[1]);
      else if (frame[0] === "move") {
        // The next poll goes elsewhere anyway.
        attempt.leaving = attempt.name !== "poll";
        this.#planUpgrade();
      } else if (this.session.receive(frame)) return this.end(attempt);
    }
    this.pump();
  }

  closed(attempt: Attempt, code: number, reason: string, options: CloseOptions = {}): void {
    const newest = attempt.attach === this.session.attach;
    if (code === CLOSE.superseded || code === CLOSE.stale_attach) {
      if (code === CLOSE.superseded && newest) this.session.restart(nonce());
      return this.end(attempt);
    }
    if (isFinal(code)) return this.close(code, reason, new RequestError(options.code ?? "closed", reason));
    if (options.retry_after !== undefined) this.#chooser.holdOff(options.retry_after);
    if (!this.#current || attempt === this.#current) this.status = { ...this.status, code, reason };
    this.end(attempt, code === CLOSE.transport_not_allowed ? "refused" : undefined);
  }

  end(attempt: Attempt, outcome?: Outcome): void {
    if (!this.#attempts.delete(attempt)) return;
    attempt.stop();
    const beside = attempt !== this.#current && !!this.#current?.provenMs;
    // While nodes stop, what fails beside says nothing about a transport.
    const told = beside && this.#current?.leaving ? undefined : outcome;
    this.#chooser.note(attempt.name, attempt.lasted && outcome !== "refused" ? "good" : told, beside);
    if (attempt === this.#current) this.#current = null;
    const [left] = this.#attempts;
    if (!left) {
      this.session.detach();
      this.#reconnect();
    } else if (!this.#current) left.awaitWelcome();
    else if (this.#current.ending || !this.#chooser.allowed.includes(this.#current.name)) this.end(this.#current);
    else this.#planUpgrade();
  }

  #known(transports: readonly TransportName[]): readonly TransportName[] {
    const wrong = transports.find((name) => !Object.hasOwn(this.openers, name));
    if (wrong !== undefined) throw new RangeError(`"${wrong}" is no transport: ${Object.keys(this.openers).join(", ")}`);
    return transports;
  }

  #tell(change: StatusChange): void {
    this.status = follow(this.status, { attempt: this.#chooser.backoff.attempts, ...change }, Date.now());
    this.changed(this.status);
  }

  #reconnect(hurry = false): void {
    if (this.#suspended || this.over.signal.aborted) return;
    const next = this.#chooser.next(hurry);
    if (!next) return this.close(CLOSE.transport_not_allowed, "the server allows none of the transports");
    const wait = next.waitMs;
    clearTimeout(this.#timer);
    this.#tell({ state: wait > 0 ? "offline" : "connecting", transport: null, retryInMs: wait > 0 ? Math.round(wait) : null });
    this.#timer = setTimeout(() => this.#open(next.transport), wait);
  }

  #open(name: TransportName, slow: Attempt | null = null): void {
    const wait = this.#chooser.backoff.admit(Date.now());
    if (wait) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#open(name, slow), wait);
      return;
    }
    const attempt = new Attempt(name, slow, this);
    this.#attempts.add(attempt);
    if (!this.#current) this.#tell({ state: "connecting", retryInMs: null });
    void this.#start(attempt);
  }

  async #start(attempt: Attempt): Promise<void> {
    try {
      const { auth } = this.options;
      this.#auth = await (typeof auth === "function" ? (auth as () => unknown)() : auth);
      json([this.#auth]);
    } catch (error) {
      reportError(error);
      return this.end(attempt);
    }
    try {
      if (!attempt.ending) attempt.begin(this.base, this.openers[attempt.name]);
    } catch {
      // The browser does not even begin, as where the page's policy forbids it.
      this.end(attempt, "failed");
    }
  }

  #welcome(attempt: Attempt, welcome: Welcome): void {
    const again = attempt === this.#current;
    const another = this.session.welcome(welcome, attempt.said?.asked ?? new Map(), attempt.attach);
    // What waits to be sent on this transport belongs to a session that is no more.
    if (again && another) return this.end(attempt);
    if (!again) this.#attached(attempt);
    if (attempt.name === "poll") this.#answered(attempt, attempt.pokedMs);
  }

  #attached(attempt: Attempt): void {
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
    attempt.welcomed();
    if (attempt.name !== "poll") this.ping();
  }

  /** A ping was answered, or a poll, which is the same; `sinceMs` is 0 where that was held and says nothing about the time. */
  #answered(attempt: Attempt, sinceMs: number): void {
    attempt.pokedMs = 0;
    // It came behind what was missed.
    if (sinceMs || this.status.catchingUp) this.#tell({ catchingUp: false, ...(sinceMs && { roundTripMs: Date.now() - sinceMs }) });
    if (attempt.provenMs) return;
    attempt.proven();
    this.#chooser.remember(attempt.name);
    const slow = attempt.beside;
    // A stream that is held back ends, and comes out, when the server hears of the next transport: that is no late welcome.
    if (slow?.attach) this.#chooser.note(slow.name, slow.name === "sse" ? "buffered" : "failed", false);
    this.#settleOn(attempt, () => false);
    this.#planUpgrade();
  }

  /** Let go of the other attempts, but for those that may still turn out to be the better. */
  #settleOn(attempt: Attempt, may: (other: Attempt) => boolean): void {
    const { allowed } = this.#chooser;
    for (const other of this.#attempts) {
      // One that has not said hello yet will say a later one when it is up.
      const better = !other.attach && allowed.indexOf(other.name) < allowed.indexOf(attempt.name);
      if (other !== attempt && !better && !may(other)) this.end(other);
    }
  }

  #planUpgrade(): void {
    clearTimeout(this.#upgradeTimer);
    const current = this.#current;
    const { notBeforeMs } = this.#chooser;
    const upgrade = () => (current?.provenMs ? this.#chooser.upgrade(current.name, current.provenMs) : null);
    const plan = current?.leaving ? { transport: current.name, atMs: notBeforeMs } : upgrade();
    if (!plan) return;
    this.#upgradeTimer = setTimeout(() => {
      if (current === this.#current && this.#attempts.size === 1) this.#open(plan.transport);
    }, plan.atMs - Date.now());
  }
}
