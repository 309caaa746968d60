import type { Client, Options, Room, Stats, Status, TransportName } from "./api";
import { Connection } from "./connection";
import { RequestError } from "./errors";
import { Listeners } from "./listeners";
import { followPage } from "./page";
import { openPoll } from "./poll";
import { JoinedRoom } from "./room";
import { openStream } from "./stream";
import { openWebSocket } from "./websocket";

const OPENERS = { websocket: openWebSocket, sse: openStream, poll: openPoll };
const REQUEST_TIMEOUT_MS = 30_000;

export class PageClient implements Client {
  readonly #connection: Connection;
  readonly #rooms = new Map<string, JoinedRoom>();
  readonly #status = new Listeners<[status: Status]>();

  constructor(base: string, options: Options) {
    this.#connection = new Connection(base, OPENERS, options, (status) => this.#status.call("status", status));
    followPage(this.#connection);
  }

  get status(): Status {
    return this.#connection.status;
  }

  get stats(): Stats {
    return { ...this.#connection.session.stats };
  }

  join<Events extends object>(name: string, { history }: { history?: number } = {}): Room<Events> {
    let room = this.#rooms.get(name);
    if (!room) {
      const publish = (event: string, data: unknown) => this.#submit<void>("publish", [name, event, data]);
      const gone = () => {
        if (this.#rooms.get(name) === room) this.#rooms.delete(name);
      };
      room = new JoinedRoom(name, history, this.#connection, publish, gone);
      this.#rooms.set(name, room);
    }
    return room as unknown as Room<Events>;
  }

  request<Reply>(event: string, data?: unknown, { timeoutMs = REQUEST_TIMEOUT_MS } = {}): Promise<Reply> {
    return this.#submit("send", [event, data], timeoutMs);
  }

  send(event: string, data?: unknown): Promise<void> {
    return this.#submit("send", [event, data]);
  }

  on(event: "status", listener: (status: Status) => void): this {
    this.#status.add(event, listener);
    return this;
  }

  off(event: "status", listener: (status: Status) => void): this {
    this.#status.remove(event, listener);
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

  #submit<Reply>(kind: "send" | "publish", parts: unknown[], timeoutMs?: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      let takeBack = () => {};
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => {
          takeBack();
          reject(new RequestError("timed_out", `no answer within ${timeoutMs} ms`));
        }, timeoutMs);
      }
      takeBack = this.#connection.session.submit(kind, parts, (error, reply) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(reply as Reply);
      });
      this.#connection.pump();
    });
  }
}
