import type { Bucket, BucketName, Document, Head, Member } from "./bucket.js";
import type { Id } from "./id.js";
import type { Command, OutboxHead } from "./outbox.js";

/** The tables of a device: what a row is found by, and what it says. */
export interface Tables {
  /** The replica's one head. */
  replica: { key: readonly []; row: Head };
  /** The buckets of which anything was stored. */
  bucket: { key: readonly [bucket: BucketName]; row: Bucket };
  /** Staged pages, as serialized messages. */
  page: { key: readonly [bucket: BucketName, page: number]; row: Uint8Array<ArrayBuffer> };
  /** Which records are in which buckets. */
  member: { key: readonly [bucket: BucketName, record: Id]; row: Member };
  /** The records that some bucket holds. */
  document: { key: readonly [record: Id]; row: Document };
  /** The outbox's one head. */
  outbox: { key: readonly []; row: OutboxHead };
  /** The captured commands. */
  command: { key: readonly [command: Id]; row: Command };
}

/** The name of a table. */
export type Table = keyof Tables;
/** What a row of a table is found by. */
export type Key<T extends Table> = Tables[T]["key"];
/** A row of a table. */
export type Row<T extends Table> = Tables[T]["row"];
/** The first parts of a key: none, some or all. */
export type Prefix<K extends readonly unknown[]> = K extends readonly [...infer Rest, unknown] ? K | Prefix<Rest> : K;

/** The names of all tables. */
export const TABLES: readonly Table[] = ["replica", "bucket", "page", "member", "document", "outbox", "command"];

/** One transaction. Its reads see what it has written. */
export interface Transaction {
  /** The row under a key. */
  get<T extends Table>(table: T, key: Key<T>): Promise<Row<T> | undefined>;
  /** The rows whose keys begin with these parts, in the order of their keys. */
  list<T extends Table>(table: T, ...prefix: Prefix<Key<T>>): Promise<[Key<T>, Row<T>][]>;
  /** Puts a row under a key, in the place of the one that is there. */
  put<T extends Table>(table: T, key: Key<T>, row: Row<T>): void;
  /** Takes a row away, if it is there. */
  remove<T extends Table>(table: T, key: Key<T>): void;
}

/**
 * Where a device keeps its replica and its outbox. A storage knows nothing of the protocol.
 *
 * Rows are values: nobody changes one after it was put or got.
 */
export interface Storage {
  /**
   * Runs `work` in one transaction. When the promise is fulfilled, all that `work` wrote is durable; when it is
   * rejected, nothing of it is there. `work` waits for nothing but the transaction.
   */
  transaction<R>(work: (transaction: Transaction) => Promise<R>): Promise<R>;
}
