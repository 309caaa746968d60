// The frames of a session that want processing: each has a seq, and stays here until it is answered.
import { RequestError } from "./errors";

const MOST_UNSENT = 1_000;
const MOST_UNSENT_BYTES = 1 << 20;
/** What a message needs beside its largest frame: a hello without rooms. */
const HELLO_BYTES = 4_096;

export type Settle = (error: RequestError | null, data?: unknown) => void;

/** A frame without its seq. `about` is what it concerns, for whoever added it. */
export interface Pending {
  readonly kind: string;
  readonly rest: string;
  readonly bytes: number;
  readonly about: unknown;
  settle: Settle;
}

export interface Urgency {
  /** Before all others; nothing keeps it out. */
  readonly first?: boolean;
  readonly about?: unknown;
}

const encoder = new TextEncoder();
const line = (seq: number, { kind, rest }: Pending): string => `["${kind}",${seq},${rest.slice(1)}`;
export const unknownOutcome = () => new RequestError("outcome_unknown", "it may or may not have been carried out");

export class Outbox {
  readonly #sent = new Map<number, Pending>();
  #unsent: Pending[] = [];
  #unsentBytes = 0;
  #repeat: string[] = [];
  #next = 1;
  #ackSent = 0;
  #window = 64;
  #maxBytes = MOST_UNSENT_BYTES - HELLO_BYTES;
  #closed: RequestError | null = null;

  /** Every seq up to this one has its outcome here. */
  get acked(): number {
    const [first] = this.#sent.keys();
    return (first ?? this.#next) - 1;
  }

  /** Add a frame, or settle it at once where that cannot be. */
  add(kind: string, parts: unknown[], settle: Settle, { first = false, about }: Urgency = {}): Pending {
    const rest = JSON.stringify(parts);
    const pending: Pending = { kind, rest, bytes: encoder.encode(rest).length + 32, about, settle };
    const full = this.#unsent.length >= MOST_UNSENT || this.#unsentBytes + pending.bytes > MOST_UNSENT_BYTES;
    let refusal = this.#closed;
    if (pending.bytes > this.#maxBytes) refusal ??= new RequestError("too_large", "the data is too large for one message");
    // Leaving must always be possible, and there are no more rooms to leave than were joined.
    if (full && !first && kind !== "leave") refusal ??= new RequestError("queue_full", "too much is waiting to be sent");
    if (refusal) settle(refusal);
    else {
      this.#unsent.splice(first ? 0 : this.#unsent.length, 0, pending);
      this.#unsentBytes += pending.bytes;
    }
    return pending;
  }

  /** Nobody waits for it any more: where it was not sent yet it never will be. */
  takeBack(pending: Pending): void {
    pending.settle = () => {};
    const at = this.#unsent.indexOf(pending);
    if (at >= 0) this.#remove(at);
  }

  /** Whether a frame like this is unanswered or unsent. */
  has(kind: string, parts: unknown[]): boolean {
    const rest = JSON.stringify(parts);
    return [...this.#sent.values(), ...this.#unsent].some((each) => each.kind === kind && each.rest === rest);
  }

  /** What the unanswered frame of this seq is about. */
  about(seq: number): unknown {
    return this.#sent.get(seq)?.about;
  }

  /** A server that has taken everything up to `seq` carries the session, or one that is told nothing `again`. */
  attached(seq: number, window: number, maxMessage: number, again: boolean): void {
    this.#window = window;
    this.#maxBytes = maxMessage - HELLO_BYTES;
    if (!again) this.#repeat = [...this.#sent].filter(([sent]) => sent > seq).map(([sent, pending]) => line(sent, pending));
  }

  /** The lines that were sent and are not answered. */
  unanswered(): string[] {
    return [...this.#sent].map(([seq, pending]) => line(seq, pending));
  }

  /** Return the lines to send now. `more`: others go out with them. */
  lines(more: boolean): string[] {
    const acked = this.acked;
    const lines = this.#repeat.splice(0);
    while (this.#unsent.length && this.#next <= acked + this.#window) {
      const pending = this.#remove(0);
      lines.push(line(this.#next, pending));
      this.#sent.set(this.#next++, pending);
    }
    // What is here is told with whatever goes out anyway, and in good time before the server holds a window of it.
    if (acked > this.#ackSent && (more || lines.length || acked >= this.#ackSent + this.#window / 2)) {
      lines.unshift(`["ack",${acked}]`);
      this.#ackSent = acked;
    }
    return lines;
  }

  settle(seq: number, error: RequestError | null, data?: unknown): void {
    const pending = this.#sent.get(seq);
    this.#sent.delete(seq);
    pending?.settle(error, data);
  }

  /** Everything up to this seq is processed; what has no outcome by now has none. */
  settleThrough(seq: number): void {
    for (const each of this.#sent.keys()) if (each <= seq) this.settle(each, null);
  }

  /** The session is another one, which has taken frames up to `seq`. Returns what was sent to the former and never answered. */
  startOver(seq: number): Pending[] {
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    this.#repeat = [];
    this.#next = seq + 1;
    this.#ackSent = seq;
    return sent;
  }

  /** Nothing is sent any more. */
  close(error: RequestError): void {
    this.#closed = error;
    const unsent = this.#unsent.splice(0);
    for (const pending of this.startOver(0)) pending.settle(unknownOutcome());
    for (const pending of unsent) pending.settle(error);
  }

  #remove(at: number): Pending {
    const [pending] = this.#unsent.splice(at, 1) as [Pending];
    this.#unsentBytes -= pending.bytes;
    return pending;
  }
}
