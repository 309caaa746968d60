// One session, whatever carries it: its rooms with their positions, what it sent and what is still unanswered. No input or output, no
// clock, no randomness: frames come in and lines go out.
import type { Position, Stats } from "./api";
import type { Line } from "./binary";
import { RequestError } from "./errors";
import type { ServerFrame, Welcome } from "./frames";
import { Outbox, unknownOutcome, type Kind, type Settle } from "./outbox";
import type { Reader } from "./reader";

/** What a message needs beside its largest frame: a hello without rooms. */
const HELLO_BYTES = 4_096;
/** Who is in a room is a state room of its own, which comes and goes with it. */
export const PRESENCE = "@presence/";
/** The inbox that ends with the session. */
const OWN_INBOX = "@session/";

export interface Hello {
  readonly line: string;
  readonly attach: number;
  /** The positions it gave. */
  readonly asked: ReadonlyMap<string, Position | null>;
}

export class Session {
  id: string | null = null;
  /** The number of the last attempt to carry the session. */
  attach = 0;
  ping = 25;
  grace = 10;
  readonly stats: { -readonly [Name in keyof Stats]: number } = { publications: 0, duplicates: 0, gaps: 0, lost: 0 };

  readonly #rooms = new Map<string, Reader>();
  readonly #outbox = new Outbox();
  #controls: string[] = [];
  #nonce: string;
  #token: string | undefined;
  /** A hello is under way or answered: rooms named from now on need a frame. */
  #named = false;
  /** What the last hello asked and was not answered yet. */
  #asked = new Map<string, Position | null>();
  #attached = false;
  #closed: RequestError | null = null;

  /**
   * `nonce` is what `hello` calls `new`: 22 to 64 characters with at least 128 random bits. `entered` is called for a room the server joined by
   * itself, before anything is told of it, and returns who reads it, or null for nobody.
   */
  constructor(
    nonce: string,
    readonly entered: (name: string) => Reader | null = () => null,
  ) {
    this.#nonce = nonce;
  }

  /** Every seq up to this one has its outcome here. */
  get acked(): number {
    return this.#outbox.acked;
  }

  /** Say hello for a new attempt to carry the session. */
  hello(auth: unknown, wait?: number): Hello {
    const attach = (this.attach += 1);
    this.#named = true;
    const named = [...this.#rooms.values()].filter(({ byFrame }) => !byFrame);
    const asked = new Map(named.map(({ name, position }) => [name, position]));
    const rooms = Object.fromEntries(named.map(({ name, place }) => [name, place])) as object;
    return { line: this.#hello(attach, { auth, rooms, wait }), attach, asked };
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
    this.#asked = new Map(asked);
    const former = this.id;
    this.id = welcome.session;
    this.#token = welcome.token;
    this.#outbox.limit(welcome.window, welcome.max_message - HELLO_BYTES);
    this.ping = welcome.ping;
    this.grace = welcome.grace;
    this.#attached = true;
    const another = former !== null && former !== welcome.session;
    if (another) this.#startOver(welcome.seq);
    else if (!again) this.#outbox.repeatAbove(welcome.seq);
    return another;
  }

  /** Nothing carries the session any more, or tries to. */
  detach(): void {
    this.#named = this.#attached = false;
    this.#outbox.detach();
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
    for (const room of this.#rooms.values()) this.#remove(room, error);
    this.#outbox.close(error);
    this.detach();
  }

  join(room: Reader): void {
    if (this.#closed) return room.observer.left(this.#closed);
    this.#rooms.set(room.name, room);
    // A leave that is still on its way would undo what a hello says; and to a session there is, a position says that it is in the room.
    if (this.#named || this.#outbox.leaving(room.name) || (room.position && this.attach)) this.#joinByFrame(room);
  }

  /** Have the server know what is asked of a room now. Without a transport the next hello says it. */
  rejoin(room: Reader, settle: Settle): void {
    if (this.#named && this.#rooms.get(room.name) === room) this.#outbox.add("join", [room.name, room.place], settle, { room });
    else settle(this.#closed);
  }

  leave(name: string): Promise<void> {
    this.#forget(name);
    // Whatever the answer, the room is left; a session that no server can know has nothing to leave.
    if (!this.attach) return Promise.resolve();
    return new Promise((resolve) => this.#outbox.add("leave", [name], () => resolve()));
  }

  /** Have a frame processed. Returns how to take it back: a frame that was not sent yet never will be. */
  submit(kind: Kind, parts: unknown[], settle: Settle): () => void {
    const pending = this.#outbox.add(kind, parts, settle);
    return () => this.#outbox.takeBack(pending);
  }

  /** Answer a request by the server, before whatever else waits to be sent. */
  answer(id: string, data: unknown): void {
    this.#outbox.add("answer", [id, data], (error) => error?.code === "too_large" && this.answerError(id, error), { first: true });
  }

  answerError(id: string, { code, message }: RequestError): void {
    this.#outbox.add("answer_error", [id, code, message], () => {}, { first: true });
  }

  /** Have a frame without a seq sent on what carries the session now. */
  control(frame: ["ping" | "pong", number]): void {
    this.#controls.push(JSON.stringify(frame));
  }

  /** Return the lines to send now. They stay with the session until they are answered. */
  outgoing(): Line[] {
    return this.#attached ? this.#outbox.outgoing(this.#controls.splice(0)) : [];
  }

  /** Take a frame of the server's. */
  receive(frame: ServerFrame): void {
    switch (frame[0]) {
      case "joined":
        return this.#joined(frame);
      case "left":
        return this.#left(frame[1], frame[2], frame[3], frame[4]);
      case "pub":
        return this.#published(frame);
      case "at":
        return void this.#rooms.get(frame[1])?.moved(frame[2]);
      case "gap":
        return this.#count(frame[1], this.#rooms.get(frame[1])?.moved(frame[2], { lost: frame[3] }));
      case "reply":
        return this.#outbox.settle(frame[1], null, frame[2]);
      case "error":
        if (frame[1] !== null) this.#outbox.settle(frame[1], new RequestError(frame[2], frame[3]));
        return;
      case "ack":
        return this.#outbox.settleThrough(frame[1]);
    }
  }

  #joined([, seq, name, position, options]: Extract<ServerFrame, { 0: "joined" }>) {
    const join = seq === null ? undefined : this.#outbox.join(seq);
    const asked = seq === null ? this.#asked.get(name) : join?.position;
    const room = this.#rooms.get(name) ?? (seq === null ? this.#adopt(name) : null);
    if (seq === null) this.#asked.delete(name);
    // The answer to a join that was followed by a leave says nothing about the room joined after that.
    if (room && (seq === null || room === join?.room)) {
      this.#count(name, room.joined(position, options, asked ?? null));
    }
    if (seq !== null) this.#outbox.settle(seq, null);
  }

  /** The session is in a room that nobody here is in. */
  #adopt(name: string): Reader | null {
    if (this.#closed || this.#outbox.leaving(name)) return null;
    if (this.#asked.has(name) && !name.startsWith("@")) {
      // It was left after a hello had named it.
      void this.leave(name);
      return null;
    }
    const room = this.entered(name);
    if (room) this.#rooms.set(name, room);
    return room;
  }

  #left(seq: number | null, name: string, code?: string, message?: string) {
    if (seq !== null) return this.#outbox.settle(seq, null);
    this.#asked.delete(name);
    const room = this.#rooms.get(name);
    if (room) this.#remove(room, code === undefined ? null : new RequestError(code, message ?? code));
  }

  #published([, name, ...publication]: Extract<ServerFrame, { 0: "pub" }>) {
    const room = this.#rooms.get(name);
    if (!room?.position) return;
    const fresh = room.published(...publication);
    if (!name.startsWith(PRESENCE)) this.stats[fresh ? "publications" : "duplicates"] += 1;
  }

  #count(name: string, lost: number | null | undefined) {
    if (lost === undefined || name.startsWith(PRESENCE)) return;
    this.stats.gaps += 1;
    this.stats.lost += lost ?? 0;
  }

  #joinByFrame(room: Reader, first = false) {
    room.byFrame = true;
    const settle: Settle = (error) => {
      room.byFrame = false;
      if (error && this.#rooms.get(room.name) === room) this.#remove(room, error);
    };
    this.#outbox.add("join", [room.name, room.place], settle, { room, first });
  }

  #forget(name: string) {
    this.#rooms.delete(name);
    this.#rooms.delete(PRESENCE + name);
  }

  #remove(room: Reader, error: RequestError | null) {
    this.#forget(room.name);
    room.observer.left(error);
  }

  /** This session knows nothing of what was sent: seqs begin anew. What rooms to be in, and how, can simply be said again. */
  #startOver(seq: number) {
    const sent = this.#outbox.startOver(seq);
    for (const { kind, join, settle } of sent) {
      if (!join) settle(kind === "presence" ? null : unknownOutcome());
      else if (!join.room.byFrame) settle(null);
    }
    for (const room of [...this.#rooms.values()].reverse()) {
      const again = room.byFrame && sent.some(({ join }) => join?.room === room);
      if (room.name.startsWith(OWN_INBOX)) this.#forget(room.name);
      else if (room.meta !== undefined && (again || !room.byFrame)) {
        this.#outbox.add("presence", [room.name, room.meta], () => {}, { first: true });
      }
      if (again) this.#joinByFrame(room, true);
    }
  }
}
