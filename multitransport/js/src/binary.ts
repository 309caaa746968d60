// Data that is bytes: a message of its own on WebSocket, base64 elsewhere.
import { json } from "./json";

/** A frame on its way out, as JSON; one with bytes is what comes before them, and the options after. */
export type Line = string | { readonly before: string; readonly bytes: Uint8Array; readonly options: object | undefined };

/** Where data is in the server's frames that have any; its options follow. */
const DATA_AT: Readonly<Record<string, number>> = { pub: 4, reply: 2 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function asText(line: Line): string {
  if (typeof line === "string") return line;
  let text = "";
  for (const byte of line.bytes) text += String.fromCharCode(byte);
  return `${line.before}"${btoa(text)}",${json({ ...line.options, b64: true })}]`;
}

/** The length of the head, the head, which is the frame with null for its data, and the bytes. */
export function asMessage({ before, bytes, options }: Exclude<Line, string>): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(`${before}null${options ? `,${json(options)}` : ""}]`);
  const message = new Uint8Array(4 + head.length + bytes.length);
  new DataView(message.buffer).setUint32(0, head.length);
  message.set(head, 4);
  message.set(bytes, 4 + head.length);
  return message;
}

/** Return the frame of a binary message. Throws where it is none. */
export function fromMessage(message: ArrayBuffer): unknown[] {
  const length = new DataView(message).getUint32(0);
  const frame = JSON.parse(decoder.decode(new Uint8Array(message, 4, length))) as unknown[];
  frame[DATA_AT[frame[0] as string] ?? frame.length] = new Uint8Array(message.slice(4 + length));
  return frame;
}

/** Return a frame that came as text with its bytes, if it has any. Throws where they are not base64. */
export function withBytes(frame: unknown[]): unknown[] {
  const at = DATA_AT[frame[0] as string];
  if (at !== undefined && (frame[at + 1] as { b64?: boolean } | undefined)?.b64) {
    frame[at] = Uint8Array.from(atob(frame[at] as string), (character) => character.charCodeAt(0));
  }
  return frame;
}
