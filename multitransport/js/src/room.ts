import type { Gap, Kept, Member, Position, PresenceChange, Publication, PublishOptions, Room, RoomOptions } from "./api";
import { RequestError } from "./errors";
import { Feed } from "./feed";
import { Listeners } from "./listeners";
import type { Kind, Settle } from "./outbox";
import { Presence } from "./presence";
import { Reader, type ReaderOptions, type RoomObserver } from "./reader";

const KEPT = 100;
const MIN_RATE = 0.001;
const MAX_RATE = 1_000;
/** A position in words. */
const POSITION = /^(.+):(\d+)$/;

/** What a room wants of the client it belongs to. */
export interface RoomHost {
  submit(kind: Kind, parts: unknown[]): Promise<void>;
  rejoin(room: Reader, settle: Settle): void;
  leave(room: JoinedRoom): Promise<void>;
  /** It is left, by the server's will. */
  gone(room: JoinedRoom): void;
}

type Listener = (data: unknown, publication: Publication) => void;

export class JoinedRoom implements Room {
  readonly history: Publication[] = [];
  readonly reader: Reader;
  readonly #published = new Listeners<[data: unknown, publication: Publication]>();
  readonly #gap = new Listeners<[gap: Gap]>();
  readonly #left = new Listeners<[error: RequestError | null]>();
  readonly #joined: Promise<void>;
  /** Whether the page would learn that it is refused, or taken out. */
  #watched = false;
  readonly #present = new Listeners<[change: PresenceChange]>();
  readonly #presence = new Presence((change) => this.#present.call("", change));
  readonly #feeds = new Set<Feed<Publication>>();
  /** What the server has taken of what others see, and then what it has not answered yet: a refused one gives way to the one before. */
  readonly #metas: { meta: unknown }[] = [];
  #over = false;
  #settle: (error: RequestError | null) => void = () => {};

  constructor(
    readonly name: string,
    readonly options: RoomOptions,
    readonly host: RoomHost,
  ) {
    this.reader = new Reader(name, this.#observer(options.keep ?? KEPT), checkedOptions(name, options));
    this.#joined = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve());
    });
    // Nobody has to look: a refusal is told to onLeft as well, or else to the console.
    this.#joined.catch(() => {});
  }

  #observer(keep: number): RoomObserver {
    return {
      joined: () => this.#settle(null),
      left: (error) => {
        this.host.gone(this);
        if (error && !this.#watched) console.warn(`not in ${this.name}: ${error.message}`);
        this.#end(error ?? new RequestError("left", "the room is left"), error);
        this.#left.call("", error);
      },
      lost: (lost, position) => this.#gap.call("", { lost, position }),
      published: (publication) => {
        if (publication.offset !== null && keep > 0) {
          this.history.push(publication);
          if (this.history.length > keep) this.history.shift();
        }
        this.#published.call(publication.event, publication.data, publication);
        this.#published.call("*", publication.data, publication);
        for (const feed of this.#feeds) feed.push(publication);
      },
    };
  }

  get joined(): Promise<void> {
    this.#watched = true;
    return this.#joined;
  }

  get position(): Position | null {
    return this.reader.position;
  }

  get state(): ReadonlyMap<string, Kept> {
    return this.reader.state;
  }

  get presence(): ReadonlyMap<string, Member> {
    return this.#presence.members;
  }

  get maxRate(): number | null {
    return this.reader.maxRate;
  }

  /** Return what reads who is in the room. */
  followPresence(name: string): Reader {
    return this.#presence.follow(name);
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
    this.#watched = true;
    this.#left.add("", listener);
    return this;
  }

  onPresence(listener: (change: PresenceChange) => void): this {
    this.#present.add("", listener);
    return this;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Publication> {
    this.#watched = true;
    const feed = new Feed<Publication>(() => this.#feeds.delete(feed));
    if (this.#over) feed.end(null);
    else this.#feeds.add(feed);
    return feed;
  }

  publish(event: string, data?: unknown, options?: PublishOptions): Promise<void> {
    if (event === "*") return Promise.reject(new TypeError('"*" means every event'));
    return this.host.submit("publish", [this.name, event, data, ...(options ? [options] : [])]);
  }

  async setPresence(meta: unknown): Promise<void> {
    const metas = this.#metas;
    const said = { meta };
    metas.push(said);
    this.reader.meta = meta;
    try {
      await this.host.submit("presence", [this.name, meta]);
      metas.splice(0, metas.indexOf(said));
    } catch (error) {
      metas.splice(metas.indexOf(said), 1);
      this.reader.meta = metas.at(-1)?.meta;
      throw error;
    }
  }

  setMaxRate(rate: number | null): Promise<void> {
    const checked = checkedRate(rate);
    if (this.#over) return Promise.reject(new RequestError("left", "the room is left"));
    this.reader.maxRate = checked;
    return new Promise((resolve, reject) => this.host.rejoin(this.reader, (error) => (error ? reject(error) : resolve())));
  }

  leave(): Promise<void> {
    this.#end(new RequestError("left", "the room was left before it was joined"), null);
    return this.host.leave(this);
  }

  #end(refusal: RequestError, error: RequestError | null): void {
    this.#over = true;
    this.#presence.members.clear();
    this.#settle(refusal);
    for (const feed of this.#feeds) feed.end(error);
  }
}

/** A hello that asks for what cannot be would end the session: it is refused here. */
function checkedOptions(name: string, { history, position, maxRate }: RoomOptions): ReaderOptions {
  if (typeof name !== "string" || !name) throw new TypeError("the name of a room is a string, and not empty");
  if (history !== undefined && !isCount(history)) throw new RangeError("history is a whole number from 0");
  return { history, position: checkedPosition(position ?? undefined), maxRate: checkedRate(maxRate) };
}

function checkedRate(rate: number | null = null): number | null {
  if (rate !== null && !(typeof rate === "number" && rate >= MIN_RATE && rate <= MAX_RATE)) {
    throw new RangeError(`maxRate is a number, ${MIN_RATE} to ${MAX_RATE}`);
  }
  return rate;
}

function checkedPosition(position: RoomOptions["position"]): Position | undefined {
  if (position === undefined) return undefined;
  const [, text, digits] = (typeof position === "string" && POSITION.exec(position)) || [];
  const [epoch, offset] = text === undefined ? position : [text, Number(digits)];
  if (typeof epoch !== "string" || !isCount(offset)) throw new RangeError("position is [epoch, offset] or \"epoch:offset\"");
  return [epoch, offset];
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
