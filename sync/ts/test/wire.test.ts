import assert from "node:assert/strict";

import { createRegistry, fromBinary, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";

import { file_roundsman_auth_v1_auth_service } from "../src/gen/roundsman/auth/v1/auth_service_pb.js";
import { file_roundsman_sync_v1_page } from "../src/gen/roundsman/sync/v1/page_pb.js";
import { file_roundsman_sync_v1_sync_service } from "../src/gen/roundsman/sync/v1/sync_service_pb.js";
import { file_roundsman_trade_v1_change_request } from "../src/gen/roundsman/trade/v1/change_request_pb.js";
import { file_roundsman_trade_v1_command } from "../src/gen/roundsman/trade/v1/command_pb.js";
import { fromHex, toHex } from "../src/id.js";
import { type Hex, testFamily } from "./vectors.js";

const files = [
  file_roundsman_auth_v1_auth_service,
  file_roundsman_sync_v1_page,
  file_roundsman_sync_v1_sync_service,
  file_roundsman_trade_v1_change_request,
  file_roundsman_trade_v1_command,
];
const messages = createRegistry(...files, ...files.flatMap((file) => file.dependencies));

testFamily<{ readonly message: string; readonly bytes: Hex }, JsonValue>("wire", (input, expected) => {
  const schema = messages.getMessage(input.message);
  assert.ok(schema, `there is no ${input.message}`);
  const message = fromBinary(schema, fromHex(input.bytes));
  assert.deepEqual(toJson(schema, message), expected);
  assert.equal(toHex(toBinary(schema, message)), input.bytes);
});
