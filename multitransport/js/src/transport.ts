// What the connection and its transports ask of each other.
import type { TransportName } from "./api";
import type { Line } from "./binary";
import type { ServerFrame } from "./frames";

/** One attempt to carry the session, as its transport sees it. */
export interface Link {
  /** The number of its last hello. */
  readonly attach: number;
  /** Return the first line of a new connection or poll. `wait` is how long a poll may be held, in seconds. */
  hello(wait?: number): string;
  /** Return the first line of what is sent beside it. */
  sendHello(): string;
  /** It brought these frames. */
  heard(frames: ServerFrame[]): void;
  /** It is over, with the code the server closed it with, if any. Called again it does nothing. */
  ended(code?: number, reason?: string): void;
}

export interface Transport {
  /** What it was given to send is on its way: more is kept from it until it has brought the answer. */
  readonly busy?: boolean;
  send(lines: Line[]): void;
  /** Make the server answer now, where a ping among the frames would not. */
  poke?(): void;
  /** Let go of it. Nothing is heard from it any more. */
  close(): void;
}

/** Begin to carry the session. `base` is the URL of the prefix, with a slash at its end. */
export type Opener = (base: string, link: Link) => Transport;

export type Openers = Readonly<Record<TransportName, Opener>>;
