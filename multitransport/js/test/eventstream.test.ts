import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { EventReader } from "../src/eventstream";

interface Vector {
  name: string;
  /** The stream's bytes; `\u00xx` in base64 would be unreadable, so it is text, and hex where it has to be. */
  text?: string;
  hex?: string;
  data: string[];
}

const vectors = JSON.parse(readFileSync("../../tests/vectors/sse.json", "utf8")) as Vector[];

const bytesOf = ({ text, hex }: Vector): Uint8Array => Buffer.from(hex ?? text ?? "", hex === undefined ? "utf8" : "hex");

function read(pieces: Uint8Array[]): string[] {
  const reader = new EventReader();
  return pieces.flatMap((piece) => reader.push(piece));
}

for (const vector of vectors) {
  const bytes = bytesOf(vector);

  test(`${vector.name}: at once`, () => assert.deepEqual(read([bytes]), vector.data));

  test(`${vector.name}: byte by byte`, () => {
    assert.deepEqual(read(Array.from(bytes, (byte) => Uint8Array.of(byte))), vector.data);
  });

  test(`${vector.name}: cut anywhere`, () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), vector.data, `cut at ${cut}`);
    }
  });
}

test("an event is told as soon as its last byte is there", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const reader = new EventReader();
    assert.deepEqual(reader.push(Buffer.from(`data: x${end}`)), []);
    assert.deepEqual(reader.push(Buffer.from(end.slice(0, 1))), ["x"]);
  }
});
