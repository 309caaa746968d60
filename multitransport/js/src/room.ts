import type { Gap, Position, Publication, Room } from "./api";
import type { Connection } from "./connection";
import { RequestError } from "./errors";
import { Listeners } from "./listeners";

type Listener = (data: unknown, publication: Publication) => void;

export class JoinedRoom implements Room {
  readonly joined: Promise<void>;
  readonly #published = new Listeners<[data: unknown, publication: Publication]>();
  readonly #gap = new Listeners<[gap: Gap]>();
  #refuse: (error: RequestError) => void = () => {};
  readonly #left = new Listeners<[error: RequestError | null]>();

  /** `gone` is called when it is left, by whose will ever. */
  constructor(
    readonly name: string,
    history: number | undefined,
    readonly connection: Connection,
    readonly publishing: (event: string, data: unknown) => Promise<void>,
    readonly gone: () => void,
  ) {
    this.joined = new Promise((resolve, reject) => {
      this.#refuse = reject;
      connection.session.join(name, history, {
        joined: resolve,
        left: (error) => {
          gone();
          if (error) reject(error);
          this.#left.call("", error);
        },
        lost: (lost, position) => this.#gap.call("", { lost, position }),
        published: (publication) => {
          this.#published.call(publication.event, publication.data, publication);
          this.#published.call("*", publication.data, publication);
        },
      });
    });
    // Nobody has to look: a refusal is told to onLeft as well.
    this.joined.catch(() => {});
    connection.pump();
  }

  get position(): Position | null {
    return this.connection.session.position(this.name);
  }

  on(event: string, listener: Listener): this {
    this.#published.add(event, listener);
    return this;
  }

  off(event: string, listener: (data: never, publication: never) => void): this {
    this.#published.remove(event, listener as Listener);
    return this;
  }

  onGap(listener: (gap: Gap) => void): this {
    this.#gap.add("", listener);
    return this;
  }

  onLeft(listener: (error: RequestError | null) => void): this {
    this.#left.add("", listener);
    return this;
  }

  publish(event: string, data?: unknown): Promise<void> {
    return this.publishing(event, data);
  }

  leave(): Promise<void> {
    this.gone();
    this.#refuse(new RequestError("left", "the room was left before it was joined"));
    const left = this.connection.session.leave(this.name);
    this.connection.pump();
    return left;
  }
}
