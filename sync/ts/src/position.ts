import type { Id } from "./id.js";

/** A version of the server with its nonce: a point in one particular history. */
export interface Position {
  readonly version: bigint;
  readonly nonce: bigint;
}

/** A place in a bucket, whose rows are ordered by version, then by record. */
export interface Cursor {
  /** The version of a row. */
  readonly version: bigint;
  /** Its record; empty: before all rows of that version. */
  readonly record: Id;
}

/** Before a bucket's first row: versions begin with 1. */
export const START: Cursor = { version: 1n, record: "" };

/** Right behind all rows of a version. */
export function after(version: bigint): Cursor {
  return { version: version + 1n, record: "" };
}

/** Whether a place comes before another one. */
export function isBefore(one: Cursor, other: Cursor): boolean {
  return one.version < other.version || (one.version === other.version && one.record < other.record);
}

/** Orders positions by version, then by nonce. */
export function isEarlier(one: Position, other: Position): boolean {
  return one.version < other.version || (one.version === other.version && one.nonce < other.nonce);
}
