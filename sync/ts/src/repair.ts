import type { Bucket, BucketName, Document, Member } from "./bucket.js";
import { PartialSums, rowHash, withRow } from "./checksum.js";
import type { Id } from "./id.js";
import type { Transaction } from "./storage.js";

/** A record in a bucket, as it is shown. */
export interface ShownRow {
  readonly record: Id;
  readonly member: Member;
  /** What is there, whatever the membership says; `undefined`: it is missing. */
  readonly document: Document | undefined;
}

/** The rows of a bucket, one after the other: all of their documents need not fit in memory. */
export async function* rowsOf(tx: Transaction, name: BucketName): AsyncGenerator<ShownRow, void, void> {
  for (const [[, record], member] of await tx.list("member", name)) {
    yield { record, member, document: await tx.get("document", [record]) };
  }
}

/** The sums of a bucket's partitions, from the documents that are there. */
export async function partialSums(tx: Transaction, name: BucketName): Promise<PartialSums> {
  const sums = new PartialSums();
  for await (const { record, document } of rowsOf(tx, name)) {
    if (document !== undefined) {
      sums.add(record, rowHash(record, document.bytes));
    }
  }
  return sums;
}

/** Whether a bucket's documents are those of its memberships, and these add up to what it says. */
export async function isSound(tx: Transaction, name: BucketName, bucket: Bucket): Promise<boolean> {
  let rows = 0n;
  let checksum = 0n;
  for await (const { record, member, document } of rowsOf(tx, name)) {
    if (document === undefined) {
      return false;
    }
    // Only what lags may be shown as another bucket has it.
    const isOwn = bucket.at.is === "head" || document.version === member.version;
    if (isOwn && rowHash(record, document.bytes) !== member.hash) {
      return false;
    }
    rows += 1n;
    checksum = withRow(checksum, member.hash);
  }
  return rows === bucket.rows && checksum === bucket.checksum;
}
