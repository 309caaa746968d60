// One room as the session sees it: how far it is read and, in a state room, what each key is. No input or output.
import type { Kept, Position, Publication, Stats } from "./api";
import type { RequestError } from "./errors";
import type { JoinedOptions, PublicationOptions } from "./frames";

export interface RoomObserver {
  joined(): void;
  left(error: RequestError | null): void;
  lost(count: number | null, position: Position): void;
  /** `ask` is the id where it is a request by the server. */
  published(publication: Publication, ask?: string): void;
  /** All that changed in a state room up to the position has been told. */
  passed?(): void;
}

export interface ReaderOptions {
  readonly history?: number | undefined;
  readonly position?: Position | undefined;
  readonly maxRate?: number | null | undefined;
}

export type Counts = { -readonly [Name in keyof Stats]: number };

export const noCounts = (): Counts => ({ publications: 0, duplicates: 0, gaps: 0, lost: 0 });

export class Reader {
  position: Position | null;
  maxRate: number | null;
  /** What others see of this session here; said again to another session. */
  meta: unknown;
  /** It is joined by a frame that has no outcome yet, so a hello does not name it. */
  byFrame = false;
  /** Where what comes is counted. */
  stats = noCounts();
  /** The newest publication of each key. */
  readonly state = new Map<string, Kept>();
  readonly #history: number | undefined;
  /** Keys that ended since the position. */
  readonly #ended = new Map<string, number>();
  #keyed = false;

  constructor(
    readonly name: string,
    readonly observer: RoomObserver,
    { history, position, maxRate }: ReaderOptions = {},
  ) {
    this.#history = history;
    this.position = position ?? null;
    this.maxRate = maxRate ?? null;
  }

  /** Where and how to read, as hello and join say it. */
  get place(): object {
    const from = this.position ? { position: this.position } : { history: this.#history };
    return { ...from, max_rate: this.maxRate ?? undefined };
  }

  /**
   * The session is in the room. `asked` is the position that was asked for. Returns whether what follows goes on from more than is here, and
   * must not be taken.
   */
  joined(position: Position, { mode, recovered, lost }: JoinedOptions, asked: Position | null): boolean {
    const former = this.position;
    const wentBack = asked !== null && asked[0] === position[0] && asked[1] > position[1];
    this.#keyed = mode === "state";
    // From the very beginning, only what there is now is told, and not what has ended since a part of it was told before.
    const anew = this.#keyed ? !recovered || (position[1] === 0 && this.state.size > 0) : wentBack && !recovered;
    const behind = !covers(former, position);
    // A late answer to an earlier hello, or a gap after it, has emptied the room since this position was given: the values up to there do not
    // come again.
    if (this.#keyed && recovered && behind && former && position[1]) return true;
    // A former transport may have brought more since the hello. It counts, unless the log itself is no longer that far.
    if (anew || behind) {
      this.position = position;
      if (!recovered) this.#lose(lost ?? null);
      // A hello from before the first position, answered by a new session: a newcomer, to the server.
      else if (former) this.#lose(former[0] === position[0] && !this.#keyed ? position[1] - former[1] : null);
    }
    this.observer.joined();
    return false;
  }

  published(offset: number | null, event: string, data: unknown, options: PublicationOptions = {}): void {
    const here = this.position;
    if (!here) return;
    const { key, deleted = false, from, ask } = options;
    const position: Position = [here[0], offset ?? here[1]];
    const publication = { room: this.name, event, data, offset, position, from, key, deleted } as Publication;
    if (offset !== null) {
      if (offset <= this.#seen(here[1], key)) {
        this.stats.duplicates += 1;
        return;
      }
      if (!this.#keyed) this.position = position;
      else if (key !== undefined) this.#put(key, offset, publication);
    }
    this.stats.publications += 1;
    this.observer.published(publication, ask);
  }

  /** What lies up to there was not for this client, or was lost. */
  moved(position: Position, gap?: { lost: number | null }): void {
    // A state room begins anew after a gap, from where ever the server says.
    if (covers(this.position, position) && !(gap && this.#keyed)) return;
    this.position = position;
    for (const [key, offset] of this.#ended) if (offset <= position[1]) this.#ended.delete(key);
    if (gap) this.#lose(gap.lost);
    else if (this.#keyed) this.observer.passed?.();
  }

  /** The highest offset known of what this would replace: of a key that is not there, all up to the position has been seen. */
  #seen(here: number, key: string | undefined): number {
    if (!this.#keyed) return here;
    if (key === undefined) return -1;
    return this.state.get(key)?.offset ?? this.#ended.get(key) ?? here;
  }

  #put(key: string, offset: number, publication: Publication): void {
    if (publication.deleted) {
      this.state.delete(key);
      this.#ended.set(key, offset);
    } else this.state.set(key, publication);
  }

  /** Keys may have ended meanwhile: what a state room has now follows. */
  #lose(count: number | null): void {
    this.state.clear();
    this.#ended.clear();
    this.stats.gaps += 1;
    this.stats.lost += count ?? 0;
    if (this.position) this.observer.lost(count, this.position);
  }
}

const covers = (here: Position | null, there: Position): boolean =>
  here !== null && here[0] === there[0] && here[1] >= there[1];
