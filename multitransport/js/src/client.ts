import type { Client, Gap, Options, Publication, RequestOptions, Room, RoomOptions, Stats, Status, TransportName } from "./api";
import { Connection } from "./connection";
import { RequestError } from "./errors";
import { json } from "./json";
import { Listeners } from "./listeners";
import type { Kind } from "./outbox";
import { followPage } from "./page";
import { openPoll } from "./poll";
import { Reader, type RoomObserver } from "./reader";
import { JoinedRoom, type RoomHost } from "./room";
import { PRESENCE } from "./rooms";
import { openStream } from "./stream";
import { openWebSocket } from "./websocket";

const OPENERS = { websocket: openWebSocket, sse: openStream, poll: openPoll };
const REQUEST_TIMEOUT_MS = 30_000;
/** The longest wait that timers know: 25 days. Longer is for ever. */
const MOST_MS = 2 ** 31 - 1;
/** What a code may be on the wire. */
const CODE = /^[a-z0-9_]{1,64}$/;

type Listener = (data: never, publication: never) => void;
type Handler = (data: unknown) => unknown;

export class PageClient implements Client {
  readonly #connection: Connection;
  readonly #rooms = new Map<string, JoinedRoom>();
  readonly #handlers = new Map<string, Handler>();
  readonly #status = new Listeners<[status: Status]>();
  readonly #inbox = new Listeners<[data: unknown, publication: Publication]>();
  readonly #joins = new Listeners<[room: Room]>();
  readonly #gaps = new Listeners<[gap: Gap]>();
  readonly #host: RoomHost = {
    submit: (kind, parts) => this.#submit(kind, parts),
    rejoin: (reader, settle) => {
      this.#connection.session.rejoin(reader, settle);
      this.#connection.pump();
    },
    leave: (room) => {
      // One that is left already may have been joined again under the same name.
      const left = this.#forget(room) ? this.#connection.session.leave(room.name) : Promise.resolve();
      this.#connection.pump();
      return left;
    },
    gone: (room) => void this.#forget(room),
  };

  constructor(base: string, options: Options) {
    const told = (status: Status) => this.#status.call("status", status);
    this.#connection = new Connection(base, OPENERS, options, told, (name) => this.#entered(name));
    followPage(this.#connection);
  }

  get status(): Status {
    return this.#connection.status;
  }

  get stats(): Stats {
    return { ...this.#connection.session.stats };
  }

  join<Events extends object>(name: string, options: RoomOptions = {}): Room<Events> {
    // As the server will say it.
    const known = JSON.parse(json(name ?? null)) as string;
    let room = this.#rooms.get(known);
    if (!room) {
      room = new JoinedRoom(known, options, this.#host);
      this.#rooms.set(known, room);
      const { reader } = room;
      const enter = () => this.#connection.session.join(reader);
      // The page can only listen to how it ends once it has the room.
      if (this.#connection.over.signal.aborted) queueMicrotask(enter);
      else enter();
      this.#connection.pump();
    }
    return room as unknown as Room<Events>;
  }

  request<Reply>(event: string, data?: unknown, { timeoutMs = REQUEST_TIMEOUT_MS, signal }: RequestOptions = {}): Promise<Reply> {
    return this.#submit("send", [event, data], { timeoutMs, signal });
  }

  send(event: string, data?: unknown, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#submit("send", [event, data], { signal });
  }

  handle(event: string, handler: Handler): this {
    this.#handlers.set(event, handler);
    return this;
  }

  on(event: string, listener: Listener | ((status: Status) => void)): this {
    this.#listeners(event).add(event, listener);
    return this;
  }

  off(event: string, listener: Listener | ((status: Status) => void)): this {
    this.#listeners(event).remove(event, listener);
    return this;
  }

  #listeners(event: string): Listeners<never[]> {
    return (event === "status" ? this.#status : this.#inbox) as unknown as Listeners<never[]>;
  }

  onJoin(listener: (room: Room) => void): this {
    this.#joins.add("", listener);
    return this;
  }

  onGap(listener: (gap: Gap) => void): this {
    this.#gaps.add("", listener);
    return this;
  }

  use(transports: readonly TransportName[]): void {
    this.#connection.use(transports);
  }

  ping(): void {
    this.#connection.ping();
  }

  cut(): void {
    this.#connection.cut();
  }

  close(): void {
    this.#connection.bye();
    this.#connection.close(null, "closed by this page");
  }

  /** The server joined a room by itself. */
  #entered(name: string): Reader | null {
    if (name.startsWith(PRESENCE)) return this.#rooms.get(name.slice(PRESENCE.length))?.followPresence(name) ?? null;
    if (name.startsWith("@")) return new Reader(name, this.#inboxObserver);
    const room = new JoinedRoom(name, {}, this.#host);
    this.#rooms.set(name, room);
    this.#joins.call("", room);
    return room.reader;
  }

  readonly #inboxObserver: RoomObserver = {
    joined() {},
    left() {},
    lost: (lost, position) => this.#gaps.call("", { lost, position }),
    published: (publication, ask) => {
      if (ask !== undefined) return void this.#answer(ask, publication);
      this.#inbox.call(publication.event, publication.data, publication);
      this.#inbox.call("*", publication.data, publication);
    },
  };

  async #answer(id: string, { event, data }: Publication): Promise<void> {
    const { session } = this.#connection;
    try {
      const handler = this.#handlers.get(event);
      if (!handler) throw new RequestError("unknown_event", "this page has no handler for it");
      session.answer(id, await handler(data));
    } catch (error) {
      const known = error instanceof RequestError && CODE.test(error.code);
      if (!known) reportError(error);
      session.answerError(id, known ? error : new RequestError("failed", "the page's handler raised"));
    }
    this.#connection.pump();
  }

  /** Return whether this was still the room of its name. */
  #forget(room: JoinedRoom): boolean {
    return this.#rooms.get(room.name) === room && this.#rooms.delete(room.name);
  }

  #submit<Reply>(kind: Kind, parts: unknown[], { timeoutMs = Infinity, signal }: { timeoutMs?: number; signal?: AbortSignal | undefined } = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
      };
      let takeBack = () => {};
      const giveUp = (reason: unknown) => {
        done();
        takeBack();
        reject(reason as Error);
      };
      const aborted = () => giveUp(signal?.reason);
      const late = () => giveUp(new RequestError("timed_out", `no answer within ${timeoutMs} ms`));
      const timer = timeoutMs > MOST_MS ? undefined : setTimeout(late, timeoutMs);
      signal?.addEventListener("abort", aborted);
      try {
        takeBack = this.#connection.session.submit(kind, parts, (error, reply) => {
          done();
          if (error) reject(error);
          else resolve(reply as Reply);
        });
      } catch (error) {
        giveUp(error);
      }
      this.#connection.pump();
    });
  }
}
