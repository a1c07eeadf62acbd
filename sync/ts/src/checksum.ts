import { createXXHash3 } from "hash-wasm";

import { fromHex, type Id } from "./id.js";

const hasher = await createXXHash3();

/** XXH3-64 over the 16 bytes of the record's id and the bytes of its document. */
export function rowHash(record: Id, document: Uint8Array): bigint {
  const digest = hasher.init().update(fromHex(record)).update(document).digest("binary");
  return new DataView(digest.buffer, digest.byteOffset, digest.byteLength).getBigUint64(0);
}

/** A bucket's checksum after a row with this hash came. */
export function withRow(checksum: bigint, hash: bigint): bigint {
  return BigInt.asUintN(64, checksum + hash);
}

/** A bucket's checksum after a row with this hash left. */
export function withoutRow(checksum: bigint, hash: bigint): bigint {
  return BigInt.asUintN(64, checksum - hash);
}
