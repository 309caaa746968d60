// The frames of a session that want processing: each has a seq, and stays here until it is answered.
import type { Line } from "./binary";
import { RequestError } from "./errors";
import { bytesOf, json } from "./json";

const MOST_UNSENT = 1_000;
const MOST_UNSENT_BYTES = 1 << 20;
/** What a message needs beside its largest frame: a hello without rooms. */
const HELLO_BYTES = 4_096;

export type Kind = "join" | "leave" | "send" | "publish" | "presence" | "answer" | "answer_error";

export type Settle = (error: RequestError | null, data?: unknown) => void;

/** A frame without its seq. `about` is what it concerns, for whoever added it. */
export interface Pending<About> {
  readonly kind: Kind;
  /** What follows the seq, as JSON: all of it, or what comes before the bytes. */
  readonly rest: string;
  readonly data: Uint8Array | undefined;
  readonly options: object | undefined;
  readonly size: number;
  readonly about: About | undefined;
  settle: Settle;
  /** The attach of what it was last given to. */
  givenTo: number;
}

export interface Urgency<About> {
  /** Before all others; nothing keeps it out. */
  readonly first?: boolean;
  readonly about?: About;
}

const encoder = new TextEncoder();
const asJson = (parts: unknown[]): string => json(parts).slice(1);
export const unknownOutcome = () => new RequestError("outcome_unknown", "it may or may not have been carried out");

export class Outbox<About = unknown> {
  readonly #sent = new Map<number, Pending<About>>();
  #unsent: Pending<About>[] = [];
  #unsentBytes = 0;
  #next = 1;
  #ackSent = 0;
  #window = 64;
  #maxBytes = MOST_UNSENT_BYTES - HELLO_BYTES;
  /** The attach that was welcomed last, and the seq up to which the server had taken frames then. */
  #welcomed = 0;
  #taken = 0;
  #closed: RequestError | null = null;

  /** Every seq up to this one has its outcome here. */
  get acked(): number {
    const [first] = this.#sent.keys();
    return (first ?? this.#next) - 1;
  }

  /** The seqs above that whose outcome is here, too. */
  get had(): number[] {
    const had: number[] = [];
    for (let seq = this.acked + 1; seq < this.#next; seq += 1) if (!this.#sent.has(seq)) had.push(seq);
    return had;
  }

  /** Add a frame, or settle it at once where that cannot be. */
  add(kind: Kind, parts: unknown[], settle: Settle, { first = false, about }: Urgency<About> = {}): Pending<About> {
    // What others see of a session is JSON.
    const at = kind === "presence" ? -1 : parts.findIndex((part) => bytesOf(part));
    const data = bytesOf(parts[at])?.slice();
    const rest = data ? `${asJson(parts.slice(0, at)).slice(0, -1)},` : asJson(parts);
    const options = data && (parts[at + 1] as object | undefined);
    const size = encoder.encode(rest).length + 64 + Math.ceil((data?.length ?? 0) / 3) * 4;
    const pending: Pending<About> = { kind, rest, data, options, size, about, settle, givenTo: 0 };
    const full = this.#unsent.length >= MOST_UNSENT || this.#unsentBytes + size > MOST_UNSENT_BYTES;
    let refusal = this.#closed;
    if (size > this.#maxBytes) refusal ??= new RequestError("too_large", "the data is too large for one message");
    // Leaving must always be possible, and there are no more rooms to leave than were joined.
    if (full && !first && kind !== "leave") refusal ??= new RequestError("queue_full", "too much is waiting to be sent");
    if (refusal) settle(refusal);
    else {
      this.#unsent.splice(first ? 0 : this.#unsent.length, 0, pending);
      this.#unsentBytes += size;
    }
    return pending;
  }

  /** Nobody waits for it any more: where it was not sent yet it never will be. */
  takeBack(pending: Pending<About>): void {
    pending.settle = () => {};
    const at = this.#unsent.indexOf(pending);
    if (at >= 0) this.#remove(at);
  }

  /** Whether a frame like this is unanswered or unsent. */
  has(kind: Kind, parts: unknown[]): boolean {
    const rest = asJson(parts);
    return [...this.#sent.values(), ...this.#unsent].some((each) => each.kind === kind && each.rest === rest);
  }

  /** What the unanswered frame of this seq is about. */
  about(seq: number): About | undefined {
    return this.#sent.get(seq)?.about;
  }

  /** The attach of what the unanswered frame of this seq was last given to. */
  givenTo(seq: number): number | undefined {
    return this.#sent.get(seq)?.givenTo;
  }

  /** A server that has taken everything up to `seq` welcomed this attach. */
  attached(seq: number, window: number, maxMessage: number, attach: number): void {
    this.#taken = seq;
    this.#window = window;
    this.#maxBytes = maxMessage - HELLO_BYTES;
    this.#welcomed = attach;
  }

  /** The lines that were sent and are not answered. */
  unanswered(): Line[] {
    return [...this.#sent].map(([seq, pending]) => line(seq, pending));
  }

  /** Return the lines to send now on the transport of this attach. `more`: others go out with them. */
  lines(attach: number, more: boolean): Line[] {
    const acked = this.acked;
    const lines: Line[] = [];
    const give = (seq: number, pending: Pending<About>) => {
      pending.givenTo = attach;
      lines.push(line(seq, pending));
    };
    // What was given to the attach that was welcomed may have come after its hello.
    for (const [seq, pending] of this.#sent) if (seq > this.#taken && pending.givenTo < this.#welcomed) give(seq, pending);
    for (let next: Pending<About> | undefined; (next = this.#unsent[0]); ) {
      // Some room is kept for answers: what fills the window may be waiting for one.
      const reserved = next.kind.startsWith("answer") ? 0 : this.#window >> 3;
      if (this.#next > acked + this.#window - reserved) break;
      this.#remove(0);
      give(this.#next, next);
      this.#sent.set(this.#next++, next);
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
  startOver(seq: number): Pending<About>[] {
    const sent = [...this.#sent.values()];
    this.#sent.clear();
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

  #remove(at: number): void {
    for (const { size } of this.#unsent.splice(at, 1)) this.#unsentBytes -= size;
  }
}

function line(seq: number, { kind, rest, data, options }: Pending<unknown>): Line {
  const before = `["${kind}",${seq},${rest}`;
  return data ? { before, bytes: data, options } : before;
}
