// One session, whatever carries it: its rooms with their positions, what it sent and what is still unanswered. No input or output, no
// clock, no randomness: frames come in and lines go out.
import type { Position, Publication, Stats } from "./api";
import { RequestError } from "./errors";
import type { ServerFrame, Welcome } from "./frames";

const MOST_UNSENT = 1_000;
const MOST_UNSENT_BYTES = 1 << 20;
/** What a message needs beside its largest frame: a hello without rooms. */
const HELLO_BYTES = 4_096;

export interface RoomObserver {
  joined(): void;
  left(error: RequestError | null): void;
  lost(count: number | null, position: Position): void;
  published(publication: Publication): void;
}

interface RoomState {
  readonly observer: RoomObserver;
  readonly history: number | undefined;
  position: Position | null;
  /** It is joined by a frame that has no outcome yet, so a hello does not name it. */
  byFrame: boolean;
}

export interface Hello {
  readonly line: string;
  readonly attach: number;
  /** The positions it gave. */
  readonly asked: ReadonlyMap<string, Position | null>;
}

type Settle = (error: RequestError | null, data?: unknown) => void;

/** A frame that wants processing, without its seq. */
interface Pending {
  readonly kind: string;
  readonly rest: string;
  readonly bytes: number;
  readonly room: RoomState | undefined;
  settle: Settle;
}

const encoder = new TextEncoder();

export class Session {
  id: string | null = null;
  /** The number of the last attempt to carry the session. */
  attach = 0;
  ping = 25;
  grace = 10;
  readonly stats: { -readonly [Name in keyof Stats]: number } = { publications: 0, duplicates: 0, gaps: 0, lost: 0 };

  readonly #rooms = new Map<string, RoomState>();
  readonly #inFlight = new Map<number, Pending>();
  #unsent: Pending[] = [];
  #unsentBytes = 0;
  #repeat: string[] = [];
  #controls: string[] = [];
  #nonce: string;
  #token: string | undefined;
  #nextSeq = 1;
  #ackSent = 0;
  #window = 64;
  #maxBytes = MOST_UNSENT_BYTES;
  /** A hello is under way or answered: rooms named from now on need a frame. */
  #named = false;
  #asked: Hello["asked"] = new Map();
  #attached = false;
  #closed: RequestError | null = null;

  /** `nonce` is what `hello` calls `new`: 22 to 64 characters with at least 128 random bits. */
  constructor(nonce: string) {
    this.#nonce = nonce;
  }

  /** Every seq up to this one has its outcome here. */
  get acked(): number {
    const [first] = this.#inFlight.keys();
    return (first ?? this.#nextSeq) - 1;
  }

  position(room: string): Position | null {
    return this.#rooms.get(room)?.position ?? null;
  }

  /** Say hello for a new attempt to carry the session. */
  hello(auth: unknown, wait?: number): Hello {
    const attach = (this.attach += 1);
    this.#named = true;
    const asked = new Map([...this.#rooms].map(([name, { position }]) => [name, position]));
    const rooms = [...this.#rooms].filter(([, room]) => !room.byFrame).map(([name, room]) => [name, place(room)]);
    return { line: this.#hello(attach, { auth, rooms: Object.fromEntries(rooms) as object, wait }), attach, asked };
  }

  /** Return the hello that leads frames sent beside the transport of this attach. */
  sendHello(attach: number): string {
    return this.#hello(attach, {});
  }

  #hello(attach: number, more: object): string {
    return JSON.stringify(["hello", { v: 1, new: this.#nonce, attach, token: this.#token, acked: this.acked, ...more }]);
  }

  /**
   * A transport carries the session; `asked` is what its hello did. `again`: the same one as before, as with polls; what it was given need
   * not be repeated. Returns whether the server had lost the session, so that this is another one.
   */
  welcome(welcome: Welcome, asked: Hello["asked"], again = false): boolean {
    this.#asked = asked;
    const former = this.id;
    this.id = welcome.session;
    this.#token = welcome.token;
    this.#window = welcome.window;
    this.#maxBytes = welcome.max_message - HELLO_BYTES;
    this.ping = welcome.ping;
    this.grace = welcome.grace;
    this.#attached = true;
    const another = former !== null && former !== welcome.session;
    if (another) this.#startOver(welcome.seq);
    else if (!again) {
      const missed = [...this.#inFlight].filter(([seq]) => seq > welcome.seq);
      this.#repeat = missed.map(([seq, pending]) => line(seq, pending));
    }
    return another;
  }

  /** Nothing carries the session any more, or tries to. */
  detach(): void {
    this.#named = this.#attached = false;
    this.#repeat = [];
    this.#controls = [];
  }

  /** Somebody else has this session: go on with one of our own, from the same positions. */
  restart(nonce: string): void {
    this.#nonce = nonce;
    this.#token = undefined;
    this.id = null;
    this.attach = 0;
    this.detach();
    this.#startOver(0);
  }

  /** The session is over: everything unanswered fails. */
  close(error: RequestError): void {
    this.#closed = error;
    const sent = [...this.#inFlight.values()];
    const unsent = this.#unsent;
    this.#inFlight.clear();
    this.#unsent = [];
    for (const [name, room] of this.#rooms) this.#remove(name, room, error);
    for (const pending of sent) pending.settle(unknownOutcome());
    for (const pending of unsent) pending.settle(error);
    this.detach();
  }

  join(name: string, history: number | undefined, observer: RoomObserver): void {
    if (this.#closed) return observer.left(this.#closed);
    const room: RoomState = { observer, history, position: null, byFrame: false };
    this.#rooms.set(name, room);
    // A leave that is still on its way would undo what a hello says.
    if (this.#named || this.#leaving(name)) this.#joinByFrame(name, room);
  }

  leave(name: string): Promise<void> {
    this.#rooms.delete(name);
    // Whatever the answer, the room is left; a session that never was welcomed has nothing to leave.
    if (!this.#named && this.id === null) return Promise.resolve();
    return new Promise((resolve) => this.#enqueue("leave", [name], () => resolve()));
  }

  /** Run a handler, or publish. Returns how to take it back: a frame that was not sent yet never will be. */
  submit(kind: "send" | "publish", rest: unknown[], settle: Settle): () => void {
    const pending = this.#enqueue(kind, rest, settle);
    return () => {
      pending.settle = () => {};
      const at = this.#unsent.indexOf(pending);
      if (at >= 0) {
        this.#unsent.splice(at, 1);
        this.#unsentBytes -= pending.bytes;
      }
    };
  }

  /** Have a frame without a seq sent on what carries the session now. */
  control(frame: ["ping" | "pong", number]): void {
    if (this.#attached) this.#controls.push(JSON.stringify(frame));
  }

  /** Return the lines to send now. They stay with the session until they are answered. */
  outgoing(): string[] {
    if (!this.#attached) return [];
    const acked = this.acked;
    const lines = [...this.#repeat.splice(0), ...this.#controls.splice(0)];
    while (this.#nextSeq <= acked + this.#window) {
      const pending = this.#unsent.shift();
      if (!pending) break;
      this.#unsentBytes -= pending.bytes;
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

  /** Take a frame of the server's. */
  receive(frame: ServerFrame): void {
    switch (frame[0]) {
      case "joined":
        return this.#joined(frame[1], frame[2], frame[3], frame[4]);
      case "left":
        return this.#left(frame[1], frame[2], frame[3], frame[4]);
      case "pub":
        return this.#published(frame[1], frame[2], frame[3], frame[4], frame[5]?.from);
      case "at":
        return this.#moved(frame[1], frame[2]);
      case "gap":
        return this.#moved(frame[1], frame[2], { lost: frame[3] });
      case "reply":
        return this.#settle(frame[1], null, frame[2]);
      case "error":
        if (frame[1] !== null) this.#settle(frame[1], new RequestError(frame[2], frame[3]));
        return;
      case "ack":
        for (const seq of this.#inFlight.keys()) if (seq <= frame[1]) this.#settle(seq, null);
    }
  }

  #joined(seq: number | null, name: string, position: Position, { recovered, lost }: { recovered: boolean; lost?: number | null }) {
    const room = this.#rooms.get(name);
    const meant = seq === null ? room : this.#inFlight.get(seq)?.room;
    // The answer to a join that was followed by a leave says nothing about the room joined after that.
    if (room && room === meant) {
      const asked = this.#asked.get(name);
      const wentBack = asked && asked[0] === position[0] && asked[1] > position[1];
      // A former transport may have brought more since the hello. It counts, unless the log itself is no longer that far.
      if (wentBack || !covers(room.position, position)) {
        const former = room.position;
        room.position = position;
        if (!recovered) this.#lost(room, lost ?? null);
        // A hello from before the first position, answered by a new session: a newcomer, to the server.
        else if (former) this.#lost(room, former[0] === position[0] ? position[1] - former[1] : null);
      }
      room.observer.joined();
    }
    if (seq !== null) this.#settle(seq, null);
  }

  #left(seq: number | null, name: string, code?: string, message?: string) {
    if (seq !== null) return this.#settle(seq, null);
    const room = this.#rooms.get(name);
    if (room) this.#remove(name, room, code === undefined ? null : new RequestError(code, message ?? code));
  }

  #published(name: string, offset: number, event: string, data: unknown, from: string | undefined) {
    const room = this.#rooms.get(name);
    if (!room?.position) return;
    const position: Position = [room.position[0], offset];
    if (covers(room.position, position)) {
      this.stats.duplicates += 1;
      return;
    }
    room.position = position;
    this.stats.publications += 1;
    room.observer.published({ room: name, event, data, offset, position, from });
  }

  #moved(name: string, position: Position, gap?: { lost: number | null }) {
    const room = this.#rooms.get(name);
    if (!room || covers(room.position, position)) return;
    room.position = position;
    if (gap) this.#lost(room, gap.lost);
  }

  #lost(room: RoomState, count: number | null) {
    this.stats.gaps += 1;
    this.stats.lost += count ?? 0;
    if (room.position) room.observer.lost(count, room.position);
  }

  #settle(seq: number, error: RequestError | null, data?: unknown) {
    const pending = this.#inFlight.get(seq);
    if (!pending) return;
    this.#inFlight.delete(seq);
    pending.settle(error, data);
  }

  #leaving(name: string): boolean {
    const rest = JSON.stringify([name]);
    return [...this.#inFlight.values(), ...this.#unsent].some((each) => each.kind === "leave" && each.rest === rest);
  }

  #joinByFrame(name: string, room: RoomState, first = false) {
    room.byFrame = true;
    const settle: Settle = (error) => {
      room.byFrame = false;
      if (error && this.#rooms.get(name) === room) this.#remove(name, room, error);
    };
    this.#enqueue("join", [name, place(room)], settle, room, first);
  }

  #remove(name: string, room: RoomState, error: RequestError | null) {
    this.#rooms.delete(name);
    room.observer.left(error);
  }

  /** This session knows nothing of what was sent: seqs begin anew. Being in a room, or not, can simply be said again. */
  #startOver(seq: number) {
    const sent = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#repeat = [];
    this.#nextSeq = seq + 1;
    this.#ackSent = seq;
    for (const { kind, settle } of sent) if (kind !== "join") settle(unknownOutcome());
    for (const [name, room] of [...this.#rooms].reverse()) {
      if (sent.some((pending) => pending.room === room)) this.#joinByFrame(name, room, true);
    }
  }

  #enqueue(kind: string, parts: unknown[], settle: Settle, room?: RoomState, first = false): Pending {
    const rest = JSON.stringify(parts);
    const pending: Pending = { kind, rest, bytes: encoder.encode(rest).length + 32, room, settle };
    const full = this.#unsent.length >= MOST_UNSENT || this.#unsentBytes + pending.bytes > MOST_UNSENT_BYTES;
    let refusal = this.#closed;
    if (pending.bytes > this.#maxBytes) refusal ??= new RequestError("too_large", "the data is too large for one message");
    if (full && !first && kind !== "leave") refusal ??= new RequestError("queue_full", "too much is waiting to be sent");
    if (refusal) settle(refusal);
    else {
      if (first) this.#unsent.unshift(pending);
      else this.#unsent.push(pending);
      this.#unsentBytes += pending.bytes;
    }
    return pending;
  }
}

const line = (seq: number, { kind, rest }: Pending): string => `["${kind}",${seq},${rest.slice(1)}`;

/** Where to begin to read, as hello and join say it. */
const place = ({ position, history }: RoomState): object => (position ? { position } : { history });

const covers = (here: Position | null, there: Position): boolean =>
  here !== null && here[0] === there[0] && here[1] >= there[1];

const unknownOutcome = () => new RequestError("outcome_unknown", "it may or may not have been carried out");
