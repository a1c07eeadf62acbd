import assert from "node:assert/strict";
import { test } from "node:test";

import { PartialSums, rowHash, withoutRow, withRow } from "../src/checksum.js";
import { fromHex } from "../src/id.js";
import { type Hex, testFamily, type Wide } from "./vectors.js";

interface Row {
  readonly record_id: Hex;
  readonly document: Hex;
}

interface Input {
  readonly steps: readonly ({ readonly add: Row } | { readonly remove: Row })[];
}

interface Expected {
  readonly row_hashes: readonly Wide[];
  readonly rows: Wide;
  readonly checksum: Wide;
}

testFamily<Input, Expected>("checksum", ({ steps }, expected) => {
  let rows = 0n;
  let checksum = 0n;
  const hashes = steps.map((step) => {
    const row = "add" in step ? step.add : step.remove;
    const hash = rowHash(row.record_id, fromHex(row.document));
    rows += "add" in step ? 1n : -1n;
    checksum = "add" in step ? withRow(checksum, hash) : withoutRow(checksum, hash);
    return `${hash}`;
  });
  assert.deepEqual({ row_hashes: hashes, rows: `${rows}`, checksum: `${checksum}` }, expected);
});

test("every record counts in one of 256 sums", () => {
  const sums = new PartialSums();
  for (let record = 0; record < 1_000; record += 1) {
    sums.add(record.toString(16).padStart(32, "0"), 1n);
  }
  const wire = sums.toWire();
  assert.deepEqual([wire.length, wire.reduce(withRow, 0n)], [256, 1_000n]);
});
