// The rooms of a session, with the place in each.
import type { Position, Publication, Stats } from "./api";
import { RequestError } from "./errors";

export interface RoomObserver {
  joined(): void;
  left(error: RequestError | null): void;
  lost(count: number | null, position: Position): void;
  published(publication: Publication): void;
}

export interface RoomState {
  readonly observer: RoomObserver;
  readonly history: number | undefined;
  position: Position | null;
  /** It is joined by a frame that has no outcome yet, so a hello does not name it. */
  byFrame: boolean;
}

/** The position of each room when a hello was said. */
export type Asked = ReadonlyMap<string, Position | null>;

/** Where to begin to read, as hello and join say it. */
export const place = ({ position, history }: RoomState): object => (position ? { position } : { history });

const covers = (here: Position | null, there: Position): boolean =>
  here !== null && here[0] === there[0] && here[1] >= there[1];

export class Rooms {
  readonly stats: { -readonly [Name in keyof Stats]: number } = { publications: 0, duplicates: 0, gaps: 0, lost: 0 };
  readonly #rooms = new Map<string, RoomState>();

  get size(): number {
    return this.#rooms.size;
  }

  get(name: string): RoomState | undefined {
    return this.#rooms.get(name);
  }

  all(): [name: string, room: RoomState][] {
    return [...this.#rooms];
  }

  add(name: string, history: number | undefined, observer: RoomObserver): RoomState {
    const room = { observer, history, position: null, byFrame: false };
    this.#rooms.set(name, room);
    return room;
  }

  /** It is left by this side's will. */
  forget(name: string): void {
    this.#rooms.delete(name);
  }

  /** It is left by the server's will. */
  left(name: string, error: RequestError | null): void {
    const room = this.#rooms.get(name);
    this.#rooms.delete(name);
    room?.observer.left(error);
  }

  /** The room is joined, after `asked`; `lost` is what the server says is missing, undefined where nothing is. */
  joined(room: RoomState, position: Position, lost: number | null | undefined, asked: Position | null = null): void {
    const former = room.position;
    const wentBack = asked && asked[0] === position[0] && asked[1] > position[1];
    // A former transport may have brought more since the hello. It counts, unless the log itself is no longer that far.
    if (wentBack || !covers(former, position)) {
      room.position = position;
      if (lost !== undefined) this.#lost(room, lost, position);
      // A hello from before the first position, answered by a new session: a newcomer, to the server.
      else if (former) this.#lost(room, former[0] === position[0] ? position[1] - former[1] : null, position);
    }
    room.observer.joined();
  }

  published(name: string, offset: number, event: string, data: unknown, from: string | undefined): void {
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

  /** What lies up to there was not for this client, or is `lost`: that many, null where nobody knows. */
  moved(name: string, position: Position, lost?: number | null): void {
    const room = this.#rooms.get(name);
    if (!room || covers(room.position, position)) return;
    room.position = position;
    if (lost !== undefined) this.#lost(room, lost, position);
  }

  #lost(room: RoomState, count: number | null, position: Position): void {
    this.stats.gaps += 1;
    this.stats.lost += count ?? 0;
    room.observer.lost(count, position);
  }
}
