// Values as JSON that any server reads.

/**
 * Return a value as JSON. What is half of a character outside the basic plane becomes U+FFFD, as in all UTF-8 that a page makes: half of one
 * would have the server refuse the whole message. Throws a TypeError where bytes are inside it, or what else JSON cannot say.
 */
export function json(value: unknown): string {
  return JSON.stringify(value, unlessBytes).replace(/\\(ud[89a-f]..|.)/g, (escape, { length }: string) => (length > 1 ? "\ufffd" : escape));
}

/** Return the bytes that a value is, or null. */
export function bytesOf(value: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return value instanceof ArrayBuffer ? new Uint8Array(value) : null;
}

/** What JSON.stringify would make an empty object of, without a word. */
function unlessBytes(_: string, value: unknown): unknown {
  if (bytesOf(value) || value instanceof Blob) throw new TypeError("bytes can only be the whole of the data; of a Blob, its arrayBuffer()");
  return value;
}
