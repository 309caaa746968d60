// What a session sends: numbered when it goes out, kept until it has its outcome, and never more of it than the window allows.
import type { Position } from "./api";
import type { Line } from "./binary";
import { RequestError } from "./errors";
import type { Reader } from "./reader";

const MOST_UNSENT = 1_000;
const MOST_UNSENT_BYTES = 1 << 20;

export type Kind = "join" | "leave" | "send" | "publish" | "presence" | "answer" | "answer_error";

export type Settle = (error: RequestError | null, data?: unknown) => void;

/** A frame that wants processing, without its seq. */
export interface Pending {
  readonly kind: Kind;
  /** What follows the seq, as JSON: all of it, or what comes before the bytes. */
  readonly rest: string;
  readonly data: Uint8Array | undefined;
  readonly options: object | undefined;
  readonly size: number;
  /** The room it joins, and where it asks to begin. */
  readonly join: { readonly room: Reader; readonly position: Position | null } | undefined;
  settle: Settle;
}

interface Extras {
  /** The room a join is for. */
  room?: Reader;
  /** It goes before all others, however many there are. */
  first?: boolean;
}

const encoder = new TextEncoder();

export const unknownOutcome = () => new RequestError("outcome_unknown", "it may or may not have been carried out");

export class Outbox {
  readonly #inFlight = new Map<number, Pending>();
  #unsent: Pending[] = [];
  #unsentBytes = 0;
  #repeat: Line[] = [];
  #nextSeq = 1;
  #ackSent = 0;
  #window = 64;
  #maxBytes = MOST_UNSENT_BYTES;
  #closed: RequestError | null = null;

  /** Every seq up to this one has its outcome here. */
  get acked(): number {
    const [first] = this.#inFlight.keys();
    return (first ?? this.#nextSeq) - 1;
  }

  limit(window: number, maxBytes: number): void {
    this.#window = window;
    this.#maxBytes = maxBytes;
  }

  /** Have a frame sent. What cannot be is settled at once. */
  add(kind: Kind, parts: unknown[], settle: Settle, { room, first }: Extras = {}): Pending {
    // What others see of a session is JSON.
    const at = kind === "presence" ? -1 : parts.findIndex((part) => part instanceof Uint8Array);
    const data = (parts[at] as Uint8Array | undefined)?.slice();
    const rest = data ? `${JSON.stringify(parts.slice(0, at)).slice(1, -1)},` : JSON.stringify(parts).slice(1);
    const size = encoder.encode(rest).length + 64 + Math.ceil((data?.length ?? 0) / 3) * 4;
    const join = room && { room, position: room.position };
    const pending: Pending = { kind, rest, data, options: data && (parts[at + 1] as object | undefined), size, join, settle };
    const full = this.#unsent.length >= MOST_UNSENT || this.#unsentBytes + size > MOST_UNSENT_BYTES;
    let refusal = this.#closed;
    if (size > this.#maxBytes) refusal ??= new RequestError("too_large", "the data is too large for one message");
    if (full && !first && kind !== "leave") refusal ??= new RequestError("queue_full", "too much is waiting to be sent");
    if (refusal) settle(refusal);
    else {
      if (first) this.#unsent.unshift(pending);
      else this.#unsent.push(pending);
      this.#unsentBytes += size;
    }
    return pending;
  }

  /** Nobody waits for it any more: if it was not sent yet it never will be. */
  takeBack(pending: Pending): void {
    pending.settle = () => {};
    const at = this.#unsent.indexOf(pending);
    if (at < 0) return;
    this.#unsent.splice(at, 1);
    this.#unsentBytes -= pending.size;
  }

  /** Return the lines to send now, those without a seq among them. */
  outgoing(controls: string[]): Line[] {
    const acked = this.acked;
    const lines = [...this.#repeat.splice(0), ...controls];
    for (let pending: Pending | undefined; (pending = this.#unsent[0]); ) {
      // Some room is kept for answers: what fills the window may be waiting for one.
      const reserved = pending.kind.startsWith("answer") ? 0 : this.#window >> 3;
      if (this.#nextSeq > acked + this.#window - reserved) break;
      this.#unsent.shift();
      this.#unsentBytes -= pending.size;
      lines.push(line(this.#nextSeq, pending));
      this.#inFlight.set(this.#nextSeq++, pending);
    }
    // What the client has is told with whatever goes out anyway, and in good time before the server holds a window of it.
    if (acked > this.#ackSent && (lines.length || acked >= this.#ackSent + this.#window / 2)) {
      lines.unshift(`["ack",${acked}]`);
      this.#ackSent = acked;
    }
    return lines;
  }

  /** The server has taken the seqs up to this one. */
  repeatAbove(taken: number): void {
    const missed = [...this.#inFlight].filter(([seq]) => seq > taken);
    this.#repeat = missed.map(([seq, pending]) => line(seq, pending));
  }

  detach(): void {
    this.#repeat = [];
  }

  /** Return what was sent and has no outcome. Seqs begin anew after this one. */
  startOver(seq: number): Pending[] {
    const sent = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#repeat = [];
    this.#nextSeq = seq + 1;
    this.#ackSent = seq;
    return sent;
  }

  close(error: RequestError): void {
    this.#closed = error;
    const unsent = this.#unsent.splice(0);
    for (const pending of this.startOver(0)) pending.settle(unknownOutcome());
    for (const pending of unsent) pending.settle(error);
  }

  settle(seq: number, error: RequestError | null, data?: unknown): void {
    const pending = this.#inFlight.get(seq);
    if (!pending) return;
    this.#inFlight.delete(seq);
    pending.settle(error, data);
  }

  settleThrough(last: number): void {
    for (const seq of this.#inFlight.keys()) if (seq <= last) this.settle(seq, null);
  }

  /** Return which join this seq is, as long as it has no outcome. */
  join(seq: number): Pending["join"] {
    return this.#inFlight.get(seq)?.join;
  }

  leaving(name: string): boolean {
    const rest = JSON.stringify([name]).slice(1);
    return [...this.#inFlight.values(), ...this.#unsent].some((each) => each.kind === "leave" && each.rest === rest);
  }
}

function line(seq: number, { kind, rest, data, options }: Pending): Line {
  const before = `["${kind}",${seq},${rest}`;
  return data ? { before, bytes: data, options } : before;
}
