import type { Id } from "./id.js";
import type { Cursor, Position } from "./position.js";

/** What identifies a bucket: its kind and its scope. The server's number of it may change, this doesn't. */
export type BucketName = string;

/** The name of the bucket of a scope's records of a kind. */
export function bucketName(kind: number, scope: string): BucketName {
  return `${kind}@${scope}`;
}

/**
 * Where a bucket is.
 *
 * - `nothing`: nothing of it was applied yet;
 * - `head`: at the replica's position;
 * - `behind`: at a position of its own;
 * - `damaged`: what it holds is wrong, or not to be trusted: it is shown, and replaced by whatever comes next.
 */
export type At =
  | { readonly is: "nothing" | "head" | "damaged" }
  | { readonly is: "behind"; readonly position: Position };

/** All records of one kind in one scope. */
export interface Bucket {
  /** The server's number, as of the last checkpoint. */
  readonly id: bigint;
  /** The scope, opaque to the device. */
  readonly scope: string;
  /** The kind of its records. */
  readonly kind: number;
  /** The group whose checkpoint covers it. */
  readonly group: number;
  readonly at: At;
  /** The number of its live records. */
  readonly rows: bigint;
  /** The sum, modulo 2^64, of the hashes of its live records. */
  readonly checksum: bigint;
  /** What came and waits for a checkpoint. */
  readonly staging: Staging | undefined;
}

/** The pages of a bucket that wait for a checkpoint. They outlive the stream and the process. */
export interface Staging {
  /** The server's number under which they came. */
  readonly id: bigint;
  /** How many pages, numbered from 0. */
  readonly pages: number;
  /** The last staged row. */
  readonly cursor: Cursor;
  /** The oldest build of a staged page. */
  readonly oldest: Position;
  /** The newest build of a staged page. */
  readonly newest: Position;
  /** They begin with the bucket's first row and replace what it holds. */
  readonly replaces: boolean;
}

/** A record's membership in a bucket: what its last frame there said. */
export interface Member {
  /** The frame's version. */
  readonly version: bigint;
  /** The hash of record and document. */
  readonly hash: bigint;
}

/** A record as it is shown: the document of the highest version that any of its buckets brought. */
export interface Document {
  readonly kind: number;
  /** The version of the frame with which it came. */
  readonly version: bigint;
  /** The serialized message, as it came. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many buckets hold the record, at least 1. */
  readonly holders: number;
}

/** What a device knows about the whole of its replica. */
export interface Head {
  /** The position of the last checkpoint; `undefined`: there was none. */
  readonly position: Position | undefined;
  /** The digest that came with it. */
  readonly scopeDigest: bigint;
}

/** What a replica keeps in memory: everything but pages, memberships and documents. */
export interface State {
  readonly head: Head;
  readonly buckets: ReadonlyMap<BucketName, Bucket>;
}

/** Where a bucket is, in a replica at `head`; `undefined`: nowhere that could be gone on from. */
export function positionOf(bucket: Bucket, head: Head): Position | undefined {
  switch (bucket.at.is) {
    case "head":
      return head.position;
    case "behind":
      return bucket.at.position;
    case "nothing":
    case "damaged":
      return undefined;
  }
}

/** A record in a bucket. */
export type MemberKey = readonly [bucket: BucketName, record: Id];
