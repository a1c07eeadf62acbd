import assert from "node:assert/strict";

import { rowHash, withoutRow, withRow } from "../src/checksum.js";
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
