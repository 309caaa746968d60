// The rooms of a session, by name.
import type { RequestError } from "./errors";
import { noCounts, type Reader } from "./reader";

/** Who is in a room is a state room of its own, which comes and goes with it. */
export const PRESENCE = "@presence/";

export class Rooms {
  readonly stats = noCounts();
  readonly #rooms = new Map<string, Reader>();

  get size(): number {
    return this.#rooms.size;
  }

  get(name: string): Reader | undefined {
    return this.#rooms.get(name);
  }

  all(): Reader[] {
    return [...this.#rooms.values()];
  }

  add(room: Reader): void {
    if (!room.name.startsWith(PRESENCE)) room.stats = this.stats;
    this.#rooms.set(room.name, room);
  }

  /** It is left by this side's will. */
  forget(name: string): void {
    this.#rooms.delete(name);
    this.#rooms.delete(PRESENCE + name);
  }

  /** It is left by the server's will. */
  left(name: string, error: RequestError | null): void {
    const room = this.#rooms.get(name);
    this.forget(name);
    room?.observer.left(error);
  }
}
