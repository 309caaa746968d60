// One session, whatever carries it. No input or output, no clock, no randomness: frames come in and lines go out.
import type { Position } from "./api";
import { RequestError } from "./errors";
import type { ServerFrame, Welcome } from "./frames";
import { Outbox, unknownOutcome, type Settle } from "./outbox";
import { place, Rooms, type Asked, type RoomObserver, type RoomState } from "./rooms";

/** The most rooms a hello may name. */
const MOST_ROOMS = 1_000;

export interface Hello {
  readonly line: string;
  readonly attach: number;
  readonly asked: Asked;
}

export class Session {
  id: string | null = null;
  /** The number of the last attempt to carry the session. */
  attach = 0;
  ping = 25;
  grace = 10;
  readonly #rooms = new Rooms();
  readonly #outbox = new Outbox();
  #controls: string[] = [];
  #nonce: string;
  #token: string | undefined;
  #asked: Asked = new Map();
  /** A hello is under way or answered: rooms named from now on need a frame. */
  #named = false;
  #attached = false;
  #closed: RequestError | null = null;

  /** `nonce` is what `hello` calls `new`: 22 to 64 characters with at least 128 random bits. */
  constructor(nonce: string) {
    this.#nonce = nonce;
  }

  get stats() {
    return this.#rooms.stats;
  }

  get acked(): number {
    return this.#outbox.acked;
  }

  position(room: string): Position | null {
    return this.#rooms.get(room)?.position ?? null;
  }

  /** Say hello for a new attempt to carry the session. */
  hello(auth: unknown, wait?: number): Hello {
    const attach = (this.attach += 1);
    this.#named = true;
    const all = this.#rooms.all();
    const rooms = all.filter(([, room]) => !room.byFrame).map(([name, room]) => [name, place(room)]);
    return {
      line: this.#hello(attach, { auth, rooms: Object.fromEntries(rooms) as object, wait }),
      attach,
      asked: new Map(all.map(([name, { position }]) => [name, position])),
    };
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
  welcome(welcome: Welcome, asked: Asked, again = false): boolean {
    const another = this.id !== null && this.id !== welcome.session;
    this.id = welcome.session;
    this.ping = welcome.ping;
    this.grace = welcome.grace;
    this.#token = welcome.token;
    this.#asked = asked;
    this.#attached = true;
    if (another) this.#startOver(welcome.seq);
    this.#outbox.attached(welcome.seq, welcome.window, welcome.max_message, again);
    return another;
  }

  /** Nothing carries the session any more, or tries to. */
  detach(): void {
    this.#named = this.#attached = false;
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
    for (const [name] of this.#rooms.all()) this.#rooms.left(name, error);
    this.#outbox.close(error);
    this.detach();
  }

  join(name: string, history: number | undefined, observer: RoomObserver): void {
    if (this.#closed) return observer.left(this.#closed);
    const room = this.#rooms.add(name, history, observer);
    // A leave that is still on its way would undo what a hello says, and a hello with too many rooms is refused as a whole.
    const byFrame = this.#named || this.#rooms.size > MOST_ROOMS || this.#outbox.has("leave", [name]);
    if (byFrame) this.#joinByFrame(name, room);
  }

  leave(name: string): Promise<void> {
    this.#rooms.forget(name);
    // Whatever the answer, the room is left; a session that never was welcomed has nothing to leave.
    if (!this.#named && this.id === null) return Promise.resolve();
    return new Promise((resolve) => this.#outbox.add("leave", [name], () => resolve()));
  }

  /** Run a handler, or publish. Returns how to take it back: a frame that was not sent yet never will be. */
  submit(kind: "send" | "publish", parts: unknown[], settle: Settle): () => void {
    const pending = this.#outbox.add(kind, parts, settle);
    return () => this.#outbox.takeBack(pending);
  }

  /** Have a frame without a seq sent on what carries the session now. */
  control(frame: ["ping" | "pong", number]): void {
    if (this.#attached) this.#controls.push(JSON.stringify(frame));
  }

  /** What was sent and is not answered: it may not have arrived. */
  unanswered(): string[] {
    return this.#outbox.unanswered();
  }

  /** Return the lines to send now. */
  outgoing(): string[] {
    if (!this.#attached) return [];
    const controls = this.#controls.splice(0);
    return [...this.#outbox.lines(controls.length > 0), ...controls];
  }

  /** Take a frame of the server's. */
  receive(frame: ServerFrame): void {
    switch (frame[0]) {
      case "joined":
        return this.#joined(frame[1], frame[2], frame[3], frame[4]);
      case "left": {
        const [, seq, name, code, message] = frame;
        if (seq !== null) return this.#outbox.settle(seq, null);
        return this.#rooms.left(name, code === undefined ? null : new RequestError(code, message ?? code));
      }
      case "pub":
        return this.#rooms.published(frame[1], frame[2], frame[3], frame[4], frame[5]?.from);
      case "at":
        return this.#rooms.moved(frame[1], frame[2]);
      case "gap":
        return this.#rooms.moved(frame[1], frame[2], frame[3]);
      case "reply":
        return this.#outbox.settle(frame[1], null, frame[2]);
      case "error":
        if (frame[1] !== null) this.#outbox.settle(frame[1], new RequestError(frame[2], frame[3]));
        return;
      case "ack":
        this.#outbox.settleThrough(frame[1]);
    }
  }

  #joined(seq: number | null, name: string, position: Position, options: { recovered: boolean; lost?: number | null }): void {
    const room = this.#rooms.get(name);
    // The answer to a join that was followed by a leave says nothing about the room joined after that.
    if (room && (seq === null || this.#outbox.about(seq) === room)) {
      const lost = options.recovered ? undefined : (options.lost ?? null);
      this.#rooms.joined(room, position, lost, this.#asked.get(name));
    }
    if (seq !== null) this.#outbox.settle(seq, null);
  }

  #joinByFrame(name: string, room: RoomState, first = false): void {
    room.byFrame = true;
    const settle: Settle = (error) => {
      room.byFrame = false;
      if (error && this.#rooms.get(name) === room) this.#rooms.left(name, error);
    };
    this.#outbox.add("join", [name, place(room)], settle, { about: room, first });
  }

  /** This session knows nothing of what was sent. Being in a room, or not, can simply be said again. */
  #startOver(seq: number): void {
    const sent = this.#outbox.startOver(seq);
    for (const { kind, settle } of sent) if (kind !== "join") settle(unknownOutcome());
    for (const [name, room] of this.#rooms.all().reverse()) {
      if (sent.some(({ about }) => about === room)) this.#joinByFrame(name, room, true);
    }
  }
}
