import assert from "node:assert/strict";
import { test } from "node:test";

import { fromHex } from "../src/id.js";
import { decompress } from "../src/zstd.js";

/** A frame by hand: magic number, single segment with 5 bytes, one last block, raw, "hello". */
const HELLO = fromHex("28b52ffd200529000068656c6c6f");

test("a frame of the announced size is unpacked", () => {
  assert.equal(new TextDecoder().decode(decompress(HELLO, 5)), "hello");
  assert.equal(decompress(HELLO, 4), undefined);
  assert.equal(decompress(HELLO, 6), undefined);
});

test("a frame that ends early is refused", () => {
  for (let length = 0; length < HELLO.length; length += 1) {
    assert.equal(decompress(HELLO.subarray(0, length), 5), undefined, `${length} bytes`);
  }
});

test("no room is made for a window that nobody needs", () => {
  const before = process.memoryUsage().arrayBuffers;
  const twoGibibytes = fromHex("28b52ffd00a829000068656c6c6f");
  assert.equal(decompress(twoGibibytes, 5), undefined);
  const sayingSo = fromHex("28b52ffde0ffffff7f0000000029000068656c6c6f");
  assert.equal(decompress(sayingSo, 5), undefined);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000, "nothing was allocated");
});

test("a block that repeats one byte is bounded by the announced size", () => {
  const bomb = fromHex("28b52ffd2005" + "fbff0f" + "00");
  assert.equal(decompress(bomb, 5), undefined);
});
