import { fromBinary } from "@bufbuild/protobuf";

import { ProtocolError } from "./fault.js";
import { Compression, type Cursor as WireCursor, type Frames, FramesSchema, type Page } from "./gen/roundsman/sync/v1/page_pb.js";
import { type Id, idOf } from "./id.js";
import { PAYLOAD_BYTES } from "./limits.js";
import { type Cursor, isBefore, type Position } from "./position.js";
import { decompress } from "./zstd.js";

/** One row of a bucket. */
export interface Row {
  readonly record: Id;
  /** The version of this row. */
  readonly version: bigint;
  /** The record's document; `undefined`: the record left the bucket. */
  readonly document: Uint8Array<ArrayBuffer> | undefined;
}

/** A page, unpacked and found to be as it says. */
export interface Unpacked {
  /** Its rows come after this place. */
  readonly from: Cursor;
  /** Its last row. */
  readonly through: Cursor;
  /** The position at which it was built. */
  readonly build: Position;
  /** In the order of version and record. */
  readonly rows: readonly Row[];
}

/**
 * Unpacks a page.
 *
 * @throws ProtocolError when the page is not as it says.
 */
export function unpack(page: Page): Unpacked {
  const { from, through, build } = page;
  if (from === undefined || through === undefined || build === undefined) {
    throw new ProtocolError("page_range", "a page must carry its range and its build");
  }
  const rows = frames(page).frames.map((frame): Row => {
    return { record: recordId(frame.recordId), version: frame.version, document: frame.document?.slice() };
  });
  if (rows.length !== page.rows) {
    throw new ProtocolError("page_rows", `${page.rows} rows were announced, ${rows.length} came`);
  }
  const unpacked = { from: cursor(from), through: cursor(through), build: { version: build.version, nonce: build.nonce }, rows };
  checkOrder(unpacked);
  return unpacked;
}

function frames(page: Page): Frames {
  if (page.payloadSize > PAYLOAD_BYTES) {
    throw new ProtocolError("page_too_large", `a page of ${page.payloadSize} bytes is over the limit of ${PAYLOAD_BYTES}`);
  }
  const damaged = new ProtocolError("page_payload", "the payload is damaged");
  const payload = content(page);
  if (payload?.length !== page.payloadSize) {
    throw damaged;
  }
  try {
    return fromBinary(FramesSchema, payload);
  } catch {
    throw damaged;
  }
}

function content(page: Page): Uint8Array | undefined {
  switch (page.compression) {
    case Compression.ZSTD:
      return decompress(page.payload, page.payloadSize);
    case Compression.UNSPECIFIED:
    case Compression.IDENTITY:
      return page.payload;
    default:
      return undefined;
  }
}

function checkOrder({ from, through, rows }: Unpacked): void {
  let last = from;
  for (const row of rows) {
    if (!isBefore(last, row)) {
      throw new ProtocolError("page_order", "the frames are not in the order of version and record");
    }
    last = row;
  }
  if (isBefore(through, last)) {
    throw new ProtocolError("page_order", "a frame is behind the end of the page's range");
  }
}

function cursor(wire: WireCursor): Cursor {
  return { version: wire.version, record: wire.recordId.length === 0 ? "" : recordId(wire.recordId) };
}

function recordId(bytes: Uint8Array): Id {
  const record = idOf(bytes);
  if (record === undefined) {
    throw new ProtocolError("page_id", "a record id must have 16 bytes");
  }
  return record;
}
