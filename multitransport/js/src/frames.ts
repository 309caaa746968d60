// What travels, as types. The server is trusted to send what the protocol says; unknown kinds are ignored where frames are taken.
import type { Position } from "./api";
import { withBytes } from "./binary";

export interface Welcome {
  readonly session: string;
  readonly token: string;
  readonly resumed: boolean;
  readonly seq: number;
  readonly window: number;
  readonly ping: number;
  readonly grace: number;
  readonly max_message: number;
}

export interface CloseOptions {
  readonly retry_after?: number;
  readonly code?: string;
}

export interface JoinedOptions {
  readonly mode?: "log" | "state";
  readonly recovered: boolean;
  readonly lost?: number | null;
  /** The server put the session in the room by itself. */
  readonly unasked?: true;
}

export interface PublicationOptions {
  readonly key?: string;
  readonly deleted?: boolean;
  readonly from?: string;
  /** It is a request by the server, with this id. */
  readonly ask?: string;
  readonly b64?: boolean;
}

export type ServerFrame =
  | [kind: "welcome", welcome: Welcome]
  | [kind: "joined", seq: number | null, room: string, position: Position, options: JoinedOptions]
  | [kind: "left", seq: number | null, room: string, code?: string, message?: string]
  | [kind: "pub", room: string, offset: number | null, event: string, data: unknown, options?: PublicationOptions]
  | [kind: "at", room: string, position: Position]
  | [kind: "gap", room: string, position: Position, lost: number | null]
  | [kind: "reply", seq: number, data: unknown, options?: { b64?: boolean }]
  | [kind: "error", seq: number | null, code: string, message: string]
  | [kind: "ack", seq: number]
  | [kind: "ping", t: number]
  | [kind: "pong", t: number]
  | [kind: "move"]
  | [kind: "close", code: number, reason: string, options?: CloseOptions];

/** Return the frames of a message. Throws where it is none, as what a captive portal says. */
export function decode(message: string): ServerFrame[] {
  const lines = message.split("\n").filter((line) => line.trim());
  return lines.map((line) => {
    const frame: unknown = JSON.parse(line);
    if (!Array.isArray(frame)) throw new TypeError("not a frame");
    return withBytes(frame) as ServerFrame;
  });
}

/** Whether a client must not connect again after this close code. */
export const isFinal = (code: number): boolean => code % 1000 >= 500 && code >= 3000;

/** Join lines into as few messages as their size allows; the limit is in characters, of which UTF-8 makes at most three bytes each. */
export function messages(lines: readonly string[], limit = 1 << 18): string[] {
  const result: string[] = [];
  let last = "";
  for (const line of lines) {
    if (last && last.length + line.length > limit) {
      result.push(last);
      last = "";
    }
    last += last ? `\n${line}` : line;
  }
  if (last) result.push(last);
  return result;
}
