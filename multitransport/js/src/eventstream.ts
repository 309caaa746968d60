/** Reads an event stream from bytes that come in pieces of any size. Of an event only its data matters here. */
export class EventReader {
  // The decoder keeps a character whose bytes are not all there yet, and drops a byte order mark.
  readonly #decoder = new TextDecoder();
  #rest = "";
  #afterReturn = false;
  #data: string[] = [];

  /** Return the data of each event that is now complete. */
  push(bytes: Uint8Array): string[] {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return [];
    // A CR ended its line at once; an LF right after it belongs to it.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n?|\n/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#take(line));
  }

  #take(line: string): string[] {
    if (!line) return this.#data.length ? [this.#data.splice(0).join("\n")] : [];
    const field = /^data(?:: ?(.*))?$/s.exec(line);
    if (field) this.#data.push(field[1] ?? "");
    return [];
  }
}
