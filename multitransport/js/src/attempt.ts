import type { TransportName } from "./api";
import type { ServerFrame } from "./frames";
import type { Hello } from "./session";
import type { Link, Transport } from "./transport";

/** What an attempt tells whoever made it. */
export interface AttemptOwner {
  hello(attempt: Attempt, wait?: number): Hello;
  sendHello(attempt: Attempt): string;
  heard(attempt: Attempt, frames: ServerFrame[]): void;
  ended(attempt: Attempt, code?: number, reason?: string): void;
}

/** One attempt to carry the session, from its beginning to its end, with one deadline at a time. */
export class Attempt implements Link {
  /** Its last hello. */
  said: Hello | null = null;
  readonly startedMs = Date.now();
  welcomedMs = 0;
  provenMs = 0;
  heardMs = 0;
  /** When the poll was begun that was asked to be answered at once; 0 where none was. */
  pokedMs = 0;
  probing = false;
  ending = false;
  transport: Transport | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly name: TransportName,
    /** The slow one it was begun beside. */
    readonly beside: Attempt | null,
    readonly owner: AttemptOwner,
  ) {}

  get attach(): number {
    return this.said?.attach ?? 0;
  }

  hello(wait?: number): string {
    this.said = this.owner.hello(this, wait);
    return this.said.line;
  }

  sendHello(): string {
    return this.owner.sendHello(this);
  }

  heard(frames: ServerFrame[]): void {
    this.owner.heard(this, frames);
  }

  ended(code?: number, reason?: string): void {
    this.owner.ended(this, code, reason);
  }

  /** Call `then` after a while, in place of what was to be called before, with how late it is: a page that was asleep is late. */
  within(ms: number, then: (lateMs: number) => void): void {
    clearTimeout(this.#timer);
    const dueMs = Date.now() + ms;
    this.#timer = setTimeout(() => then(Date.now() - dueMs), ms);
  }

  stop(): void {
    this.ending = true;
    clearTimeout(this.#timer);
    this.transport?.close();
  }
}
