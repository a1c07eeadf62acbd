import assert from "node:assert/strict";

import { fromBinary } from "@bufbuild/protobuf";

import { ProtocolError } from "../src/fault.js";
import { PageSchema } from "../src/gen/roundsman/sync/v1/page_pb.js";
import { fromHex, toHex } from "../src/id.js";
import { unpack } from "../src/page.js";
import { type Hex, testFamily, type Wide } from "./vectors.js";

type Expected =
  | { readonly rows: readonly { readonly record_id: Hex; readonly version: Wide; readonly document: Hex | null }[] }
  | { readonly refused: string };

testFamily<{ readonly page: Hex }, Expected>("page", (input, expected) => {
  const page = fromBinary(PageSchema, fromHex(input.page));
  if ("refused" in expected) {
    assert.throws(() => unpack(page), (error) => error instanceof ProtocolError && error.fault === expected.refused);
    return;
  }
  const rows = unpack(page).rows.map(({ record, version, document }) => {
    return { document: document === undefined ? null : toHex(document), record_id: record, version: `${version}` };
  });
  assert.deepEqual(rows, expected.rows);
});
