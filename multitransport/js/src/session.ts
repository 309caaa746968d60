// One session, whatever carries it. No input or output, no clock, no randomness: frames come in and lines go out.
import type { Position } from "./api";
import type { Line } from "./binary";
import { RequestError } from "./errors";
import type { JoinedOptions, ServerFrame, Welcome } from "./frames";
import { json } from "./json";
import { Outbox, unknownOutcome, type Kind, type Settle } from "./outbox";
import type { Reader } from "./reader";
import { Rooms } from "./rooms";

/** The inbox that ends with the session. */
const OWN_INBOX = "@session/";

/** The most rooms a hello may name. */
const MOST_ROOMS = 1_000;

export interface Hello {
  readonly line: string;
  readonly attach: number;
  /** The position of each room it named. */
  readonly asked: ReadonlyMap<string, Position | null>;
}

/** The room a frame joins, and where it asks to begin. */
interface Join {
  readonly room: Reader;
  readonly position: Position | null;
}

export class Session {
  id: string | null = null;
  /** The number of the last attempt to carry the session. */
  attach = 0;
  ping = 25;
  grace = 10;
  readonly #rooms = new Rooms();
  readonly #outbox = new Outbox<Join>();
  #controls: string[] = [];
  #nonce: string;
  #token: string | undefined;
  /** What the last hello asked and was not answered yet. */
  #asked = new Map<string, Position | null>();
  /** A hello is under way or answered: rooms named from now on need a frame. */
  #named = false;
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

  get stats() {
    return this.#rooms.stats;
  }

  get acked(): number {
    return this.#outbox.acked;
  }

  /** Say hello for a new attempt to carry the session. */
  hello(auth: unknown, wait?: number): Hello {
    const attach = (this.attach += 1);
    this.#named = true;
    const named = this.#rooms.all().filter(({ byFrame }) => !byFrame);
    const asked = new Map(named.map(({ name, position }) => [name, position]));
    const rooms = Object.fromEntries(named.map(({ name, place }) => [name, place])) as object;
    return { line: this.#hello(attach, { auth, rooms, wait }), attach, asked };
  }

  /** Return the hello that leads frames sent beside the transport of this attach. */
  sendHello(attach: number): string {
    return this.#hello(attach, {});
  }

  #hello(attach: number, more: object): string {
    const { acked, had } = this.#outbox;
    return json(["hello", { v: 1, new: this.#nonce, attach, token: this.#token, acked, had: had.length ? had : undefined, ...more }]);
  }

  /**
   * A transport carries the session; `asked` is what its hello did, `attach` is that of the hello. Returns whether the server had lost the
   * session, so that this is another one.
   */
  welcome(welcome: Welcome, asked: Hello["asked"], attach = this.attach): boolean {
    const another = this.id !== null && this.id !== welcome.session;
    this.id = welcome.session;
    this.ping = welcome.ping;
    this.grace = welcome.grace;
    this.#token = welcome.token;
    this.#asked = new Map(asked);
    this.#attached = true;
    if (another) this.#startOver(welcome.seq, asked);
    this.#outbox.attached(welcome.seq, welcome.window, welcome.max_message, attach);
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
    for (const { name } of this.#rooms.all()) this.#rooms.left(name, error);
    this.#outbox.close(error);
    this.detach();
  }

  join(room: Reader): void {
    if (this.#closed) return room.observer.left(this.#closed);
    this.#rooms.add(room);
    // A leave that is still on its way would undo what a hello says; to a session there is, a position says that it is in the room; and a
    // hello with too many rooms is refused as a whole.
    const byFrame = this.#named || this.#leaving(room.name) || (room.position && this.attach) || this.#rooms.size > MOST_ROOMS;
    if (byFrame) this.#joinByFrame(room);
  }

  /** Have the server know what is asked of a room now. Without a transport the next hello says it. */
  rejoin(room: Reader, settle: Settle): void {
    // A join that is still to be sent says what was asked for before, and a hello does not name its room.
    if ((this.#named || room.byFrame) && this.#rooms.get(room.name) === room) this.#addJoin(room, settle);
    else settle(this.#closed);
  }

  leave(name: string): Promise<void> {
    this.#rooms.forget(name);
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
    this.#answer("answer", id, data);
  }

  answerError(id: string, { code, message }: RequestError): void {
    this.#answer("answer_error", id, code, message);
  }

  #answer(kind: Kind, id: string, ...rest: unknown[]): void {
    this.#outbox.add(kind, [id, ...rest], (error) => error?.code === "too_large" && this.answerError(id, error), { first: true });
  }

  /** Have a frame without a seq sent on what carries the session now. */
  control(frame: ["ping" | "pong", number]): void {
    if (this.#attached) this.#controls.push(JSON.stringify(frame));
  }

  /** What was sent and is not answered: it may not have arrived. */
  unanswered(): Line[] {
    return this.#outbox.unanswered();
  }

  /** Return the lines to send now on the transport of this attach. */
  outgoing(attach = this.attach): Line[] {
    if (!this.#attached) return [];
    const controls = this.#controls.splice(0);
    return [...this.#outbox.lines(attach, controls.length > 0), ...controls];
  }

  /** Take a frame of the server's. Returns whether the transport is to be given up for one whose hello says how far the rooms are now. */
  receive(frame: ServerFrame): boolean | void {
    switch (frame[0]) {
      case "joined":
        return this.#joined(frame);
      case "left":
        return this.#left(frame);
      case "pub": {
        const [, name, ...publication] = frame;
        return this.#reading(name)?.published(...publication);
      }
      case "at":
        return this.#reading(frame[1])?.moved(frame[2]);
      case "gap":
        return this.#reading(frame[1])?.moved(frame[2], { lost: frame[3] });
      case "reply":
        return this.#outbox.settle(frame[1], null, frame[2]);
      case "error":
        if (frame[1] !== null) this.#outbox.settle(frame[1], new RequestError(frame[2], frame[3]));
        return;
      case "ack":
        this.#outbox.settleThrough(frame[1]);
    }
  }

  /** Who reads a room. Before the answer to the frame that joins it all that comes is about the one of its name that was left. */
  #reading(name: string): Reader | undefined {
    const room = this.#rooms.get(name);
    return room?.byFrame ? undefined : room;
  }

  #joined([, seq, name, position, options]: Extract<ServerFrame, { 0: "joined" }>): boolean | void {
    if (seq === null) {
      if (!this.#rooms.get(name)) this.#adopt(name, options);
      const asked = this.#asked.get(name) ?? null;
      this.#asked.delete(name);
      return this.#reading(name)?.joined(position, options, asked);
    }
    const join = this.#outbox.about(seq);
    // The answer to a join that was followed by a leave says nothing about the room joined after that.
    // Nor does what a hello was said since: that goes on from a position of its own.
    const current = join && (join.room.byFrame || this.#outbox.givenTo(seq) === this.attach);
    const ahead = current && join.room === this.#rooms.get(name) && join.room.joined(position, options, join.position);
    this.#outbox.settle(seq, null);
    return ahead;
  }

  /** The session is in a room that nobody here is in. */
  #adopt(name: string, { unasked }: JoinedOptions): void {
    if (this.#closed || this.#leaving(name)) return;
    if (!unasked && !name.startsWith("@")) {
      // It was left after a hello had named it.
      void this.leave(name);
      return;
    }
    const room = this.entered(name);
    if (room) this.#rooms.add(room);
  }

  #left([, seq, name, code, message]: Extract<ServerFrame, { 0: "left" }>): void {
    if (seq !== null) return this.#outbox.settle(seq, null);
    this.#asked.delete(name);
    if (this.#reading(name)) this.#rooms.left(name, code === undefined ? null : new RequestError(code, message ?? code));
  }

  #leaving(name: string): boolean {
    return this.#outbox.has("leave", [name]);
  }

  #joinByFrame(room: Reader, first = false): void {
    room.byFrame = true;
    const settle: Settle = (error) => {
      room.byFrame = false;
      if (error && this.#rooms.get(room.name) === room) this.#rooms.left(room.name, error);
    };
    this.#addJoin(room, settle, first);
  }

  #addJoin(room: Reader, settle: Settle, first = false): void {
    this.#outbox.add("join", [room.name, room.place], settle, { about: { room, position: room.position }, first });
  }

  /** This session knows nothing of what was sent. What rooms to be in, and how, can simply be said again. */
  #startOver(seq: number, asked?: Hello["asked"]): void {
    const sent = this.#outbox.startOver(seq);
    const again = new Set(sent.map(({ about }) => about?.room).filter((room) => room?.byFrame));
    for (const { kind, about, settle } of sent) settle(about || kind === "presence" ? null : unknownOutcome());
    for (const room of this.#rooms.all().reverse()) {
      if (room.name.startsWith(OWN_INBOX)) this.#rooms.forget(room.name);
      else if (!room.byFrame) {
        if (room.meta !== undefined) this.#outbox.add("presence", [room.name, room.meta], () => {}, { first: true });
        // One that was joined after the hello is known to the former session only.
        const unheard = asked && !asked.has(room.name) && !room.name.startsWith("@");
        if (unheard || again.has(room)) this.#joinByFrame(room, true);
      }
    }
  }
}
