import { createXXHash3 } from "hash-wasm";

import { fromHex, type Id } from "./id.js";

const hasher = await createXXHash3();

/** A bucket's records fall into so many partitions. */
const PARTITIONS = 256;
const BYTE_BITS = 8;

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

/** The checksum of each partition of a bucket. */
export class PartialSums {
  readonly #sums = Array.from({ length: PARTITIONS }, () => 0n);

  /** A row with this hash is there. */
  add(record: Id, hash: bigint): void {
    const partition = partitionOf(record);
    this.#sums[partition] = withRow(this.#sums[partition] ?? 0n, hash);
  }

  /** The sums in the order of the partitions, as they travel. */
  toWire(): bigint[] {
    return [...this.#sums];
  }
}

/** A set of partitions. */
export class Partitions {
  readonly #bits: Uint8Array;

  private constructor(bits: Uint8Array) {
    this.#bits = bits;
  }

  /** Reads the set as it travels: partition p is bit p % 8, from the lowest, of byte p / 8. `undefined`: it has not 32 bytes. */
  static fromWire(bytes: Uint8Array): Partitions | undefined {
    return bytes.length === PARTITIONS / BYTE_BITS ? new Partitions(bytes.slice()) : undefined;
  }

  /** Whether a record is in one of them. */
  contain(record: Id): boolean {
    const partition = partitionOf(record);
    const byte = this.#bits[Math.floor(partition / BYTE_BITS)] ?? 0;
    return (byte & (1 << (partition % BYTE_BITS))) !== 0;
  }
}

/** The partition of a record: the highest 8 bits of XXH3-64 over the 16 bytes of its id. */
function partitionOf(record: Id): number {
  return hasher.init().update(fromHex(record)).digest("binary")[0] ?? 0;
}
